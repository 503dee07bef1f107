"""A seeded stream of choices, independent of the Python version: splitmix64 (Steele, Lea and Flood, 2014)."""

import hashlib
from collections.abc import MutableSequence, Sequence
from typing import Final, TypeVar

T = TypeVar("T")
_MASK: Final = (1 << 64) - 1


def hashed(text: str) -> int:
    """64 bits of a text, the same everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


class Stream:
    """Choices drawn from a name; streams of different names are independent."""

    def __init__(self, name: str) -> None:
        self._state = hashed(name)

    def bits(self) -> int:
        """64 random bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        value = self._state
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        return value ^ (value >> 31)

    def below(self, bound: int) -> int:
        """A whole number in [0, bound); the bias of the modulus is below 2**-50 for the bounds used here."""
        return self.bits() % bound

    def chance(self, percent: int) -> bool:
        """True in `percent` of a hundred draws."""
        return self.below(100) < percent

    def pick(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[self.below(len(values))]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """The values in random order (Fisher and Yates)."""
        found = list(values)
        self._shuffle(found)
        return found

    def _shuffle(self, values: MutableSequence[T]) -> None:
        for last in range(len(values) - 1, 0, -1):
            other = self.below(last + 1)
            values[last], values[other] = values[other], values[last]
