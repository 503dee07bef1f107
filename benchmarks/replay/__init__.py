"""Replay of simulated search traffic: `python -m benchmarks.replay`."""
