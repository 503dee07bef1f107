"""Faults under load: no answer is lost, none mixes compositions, every fallback is counted."""
