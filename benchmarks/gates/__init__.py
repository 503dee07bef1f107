"""How often regression gates are wrong, by simulation: false passes at exactly the margin, and power."""
