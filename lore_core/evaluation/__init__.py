"""Evaluation: metrics, intervals, gates, evidence and the runner behind `lore evaluate`."""
