"""The operator under load, on a real API server."""
