"""How well a small think-first model learns the generated benchmark: every cell, several seeds, the worst seed counts."""
