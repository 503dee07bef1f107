"""What one unit of work is called: an object of one of the four kinds."""

from typing import NamedTuple


class Key(NamedTuple):
    """One custom resource. Cheap to hash: there is one for every object the operator knows."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"
