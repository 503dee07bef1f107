"""Benchmarks of the router's data path: `python -m benchmarks.router`."""
