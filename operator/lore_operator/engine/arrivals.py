"""New resources as kopf's watch brought them, so that a first pass does not ask for what has just been sent."""

from typing import Final

from lore_operator.engine.client import Manifest
from lore_operator.engine.keys import Key

_MOST: Final = 1000
"""What is more is read again: a list of thousands at the start must not lie in memory twice."""


class Arrivals:
    """Resources without a status of ours: nothing was decided about them yet, and nobody but the operator writes a status.

    What the CRD itself defaults, `observedGeneration: -1`, is no status of ours.

    Each is given out once. A spec that was edited meanwhile has arrived too, or wakes its resource when it does.
    """

    def __init__(self) -> None:
        self._kept: dict[Key, Manifest] = {}

    def came(self, key: Key, resource: Manifest, *, deleted: bool) -> None:
        """A resource was listed, added, changed or deleted."""
        self._kept.pop(key, None)
        if not deleted and _undecided(resource) and len(self._kept) < _MOST:
            self._kept[key] = _without_managers(resource)

    def take(self, key: Key) -> Manifest | None:
        """The resource as it came last; None where it has to be read."""
        return self._kept.pop(key, None)


def _undecided(resource: Manifest) -> bool:
    return (resource.get("status") or {}).keys() <= {"observedGeneration"}


def _without_managers(resource: Manifest) -> Manifest:
    """Who manages which field is about half of a new resource, and no decision reads it."""
    metadata = {name: value for name, value in resource["metadata"].items() if name != "managedFields"}
    return {**resource, "metadata": metadata}
