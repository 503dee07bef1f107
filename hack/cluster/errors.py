"""The one error this package raises for what the user can put right."""


class ClusterError(Exception):
    """Something the user can act on; the message names it and the remedy."""
