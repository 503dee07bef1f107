"""Benchmark of the strata build: `python -m benchmarks.strata`."""
