"""What was looked for and is not there: looked for once, until a watch tells of it."""

from lore_operator.plan.types import Reference

Place = tuple[str, Reference]
"""A namespace, and an object of it."""


class Absences:
    """Objects that did not exist when they were looked for, and have not been heard of since."""

    def __init__(self) -> None:
        self._known: set[Place] = set()
        self._asked: set[Place] = set()

    def __contains__(self, place: Place) -> bool:
        return place in self._known

    def ask(self, place: Place) -> None:
        """It is being looked for: an answer that is overtaken by news of it says nothing."""
        self._asked.add(place)

    def missing(self, place: Place) -> None:
        """The answer was that it does not exist."""
        if place in self._asked:
            self._asked.discard(place)
            self._known.add(place)

    def heard_of(self, place: Place) -> None:
        """It exists, changed or was deleted, or nobody looks at it any more."""
        self._asked.discard(place)
        self._known.discard(place)
