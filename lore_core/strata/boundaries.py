"""Where head ends and torso ends: pure arithmetic over how often queries are asked, exact in whole numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from lore_core.strata.snapshot import Stratum

WEIGHT_UNIT: Final = 1 << 10
"""The weight of one request of the last day; decayed requests weigh less."""


class Rule(StrEnum):
    """What a boundary counts: share of all traffic, number of queries, or least requests of a query."""

    SHARE = "share"
    TOP = "top"
    COUNT = "count"


@dataclass(frozen=True)
class Boundaries:
    """Head and torso, by one rule.

    SHARE: the most frequent queries that together make `head` of the traffic are head, the next `torso` torso. TOP: the
    `head` most frequent queries, then the next `torso`. COUNT: queries of at least `head` requests, then of at least `torso`.
    """

    head: str = "0.5"
    torso: str = "0.3"
    rule: Rule = Rule.SHARE

    def __post_init__(self) -> None:
        """Head and torso must leave room for each other."""
        head, torso = Fraction(self.head), Fraction(self.torso)
        if head < 0 or torso < 0:
            raise ValueError(f"boundaries must be at least 0: head {self.head}, torso {self.torso}")
        if self.rule is Rule.SHARE and head + torso > 1:
            raise ValueError(f"shares must sum to at most 1: head {self.head}, torso {self.torso}")
        if self.rule is Rule.COUNT and not 0 < torso <= head:
            raise ValueError(
                f"a torso query has fewer requests than a head query: head {self.head}, torso {self.torso}"
            )


@dataclass(frozen=True)
class Frequencies:
    """How many queries there are of each weighted frequency, most frequent first. Both sequences have one length."""

    weights: Sequence[int]
    queries: Sequence[int]

    @property
    def total(self) -> int:
        """Weighted requests of all queries."""
        return sum(weight * queries for weight, queries in zip(self.weights, self.queries, strict=True))

    def rank_of_share(self, share: Fraction) -> int:
        """How many queries have less than `share` of the traffic before them, in order of frequency."""
        return self.ranks_of_shares([share])[0]

    def ranks_of_shares(self, shares: Sequence[Fraction]) -> list[int]:
        """`rank_of_share` of several shares, in one pass."""
        total = self.total
        limits = sorted({-(-share.numerator * total // share.denominator) for share in shares})
        found: dict[int, int] = {}
        before = rank = 0
        for weight, queries in zip(self.weights, self.queries, strict=True):
            end = before + weight * queries
            while len(found) < len(limits) and limits[len(found)] <= end:
                limit = limits[len(found)]
                found[limit] = rank + max(0, -(-(limit - before) // weight))
            before, rank = end, rank + queries
        return [found.get(-(-share.numerator * total // share.denominator), rank) for share in shares]

    def rank_of_count(self, least: Fraction) -> int:
        """How many queries have at least `least` requests, decayed ones counted by their weight."""
        pairs = zip(self.weights, self.queries, strict=True)
        return sum(queries for weight, queries in pairs if weight >= least * WEIGHT_UNIT)


@dataclass(frozen=True)
class Ranks:
    """How many of the most frequent queries are head, and how many are head or torso."""

    head: int
    torso: int


@dataclass(frozen=True)
class Limits:
    """The ranks at which a query enters a stratum, and those at which one that was there leaves it; leave >= enter."""

    enter: Ranks
    leave: Ranks

    def stratum(self, rank: int, before: Stratum) -> Stratum:
        """Stratum of the query with this 0-based rank, which an earlier snapshot had in the stratum `before`."""
        if rank < (self.leave if before == "head" else self.enter).head:
            return "head"
        if rank < (self.leave if before != "tail" else self.enter).torso:
            return "torso"
        return "tail"


def limits(boundaries: Boundaries, frequencies: Frequencies, margin: Fraction) -> Limits:
    """The limits of a log. With a margin m, queries enter at (1 - m) times the boundary and leave at (1 + m) times it."""
    return Limits(_ranks(boundaries, frequencies, 1 - margin), _ranks(boundaries, frequencies, 1 + margin))


def _ranks(boundaries: Boundaries, frequencies: Frequencies, factor: Fraction) -> Ranks:
    head, torso = Fraction(boundaries.head), Fraction(boundaries.torso)
    if boundaries.rule is Rule.SHARE:
        ranks = frequencies.ranks_of_shares([min(Fraction(1), factor * share) for share in (head, head + torso)])
        return Ranks(*ranks)
    if boundaries.rule is Rule.TOP:
        return Ranks(int(factor * head), int(factor * (head + torso)))
    # Fewer requests suffice to stay: the factor goes the other way.
    return Ranks(frequencies.rank_of_count(head * (2 - factor)), frequencies.rank_of_count(torso * (2 - factor)))
