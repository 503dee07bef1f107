"""Pairs a second of label-token scoring through a real vLLM, beside reasoning first and beside plain requests."""
