"""The one error of the demo that a user can act on."""


class DemoError(Exception):
    """The demo cannot go on; the message says what happened and what to do."""
