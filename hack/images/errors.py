"""The one error of this package that a user can act on."""


class ImageError(Exception):
    """An image cannot be built or loaded; the message names the step and the remedy."""
