"""The generated benchmark: a small closed world in RAIR's record format where no shortcut passes.

Everything is pure Python and drawn from a seeded stream of its own, so equal seeds give equal bytes on every machine.
"""
