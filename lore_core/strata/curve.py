"""How traffic is spread over queries, and what boundaries would make of it: pure arithmetic over frequencies."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Final

from lore_core.strata.boundaries import Frequencies

CHOICES: Final = tuple(
    (Fraction(h, 100), Fraction(t, 100)) for h in (30, 40, 50, 60, 70, 80) for t in (10, 20, 30) if h + t <= 95
)
_POINTS_A_DECADE: Final = 20


@dataclass(frozen=True)
class Cost:
    """Compute seconds of one request in each stratum, measured or estimated by who asks; offline, a head query costs a tail one."""

    head: float
    torso: float
    tail: float


@dataclass(frozen=True)
class Point:
    """The `rank` most frequent queries together make `share` of the traffic."""

    rank: int
    share: float


@dataclass(frozen=True)
class Choice:
    """One pair of boundaries: queries and shares of traffic of each stratum (head, torso, tail)."""

    queries: tuple[int, int, int]
    shares: tuple[float, float, float]

    def seconds(self, cost: Cost) -> float:
        """Compute seconds of 1,000 requests."""
        return 1000 * sum(s * c for s, c in zip(self.shares, (cost.head, cost.torso, cost.tail), strict=True))

    def head_seconds(self, cost: Cost) -> float:
        """Compute seconds to score the whole head once."""
        return self.queries[0] * cost.tail


class Curve:
    """Cumulative traffic by rank."""

    def __init__(self, frequencies: Frequencies) -> None:
        self._weights = frequencies.weights
        self._ranks = [0, *accumulate(frequencies.queries)]
        pairs = zip(frequencies.weights, frequencies.queries, strict=True)
        self._sums = [0, *accumulate(weight * queries for weight, queries in pairs)]
        self._frequencies = frequencies

    @property
    def queries(self) -> int:
        """Distinct queries."""
        return self._ranks[-1]

    def share(self, rank: int) -> float:
        """Share of the traffic that the `rank` most frequent queries make."""
        at = bisect_right(self._ranks, rank) - 1
        rest = (rank - self._ranks[at]) * self._weights[at] if at < len(self._weights) else 0
        return (self._sums[at] + rest) / self._sums[-1]

    def points(self) -> Iterator[Point]:
        """Points at ranks that are even on a logarithmic axis, the last one included."""
        last = 0
        for step in range(_POINTS_A_DECADE * 12):
            rank = min(self.queries, round(10 ** (step / _POINTS_A_DECADE)))
            if rank > last:
                yield Point(rank, self.share(rank))
                last = rank
            if rank == self.queries:
                return

    def choices(self, shares: Sequence[tuple[Fraction, Fraction]] = CHOICES) -> Iterator[Choice]:
        """What each pair of head and torso share would make of this traffic."""
        wanted = [limit for head, torso in shares for limit in (head, head + torso)]
        ranks = self._frequencies.ranks_of_shares(wanted)
        for head, both in zip(ranks[::2], ranks[1::2], strict=True):
            first, second = self.share(head), self.share(both)
            yield Choice((head, both - head, self.queries - both), (first, second - first, 1 - second))
