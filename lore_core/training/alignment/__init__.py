"""Alignment: what is ours of reinforcement learning. Rewards, which prompts to learn from, preference pairs, guards."""
