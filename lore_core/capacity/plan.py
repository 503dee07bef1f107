"""Replicas and GPU-hours of each tier for some traffic and boundaries: pure arithmetic on measured service times.

A tier gets as many replicas as keep each of them busy for at most `utilisation` of the time at the peak. That bounds
queues; how long a question waits is not computed, the tier's budget and a load test judge that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

import numpy as np

from lore_core.capacity.service_times import ServiceTimes
from lore_core.router.config import TierPolicy
from lore_core.strata.boundaries import Frequencies
from lore_core.strata.curve import Choice, Curve

Pair = tuple[Fraction, Fraction]
"""Head and torso share of the traffic."""
MOST_QUERIES: Final = 10_000_000
_SCALE: Final = 1e12
_HOURS: Final = 24
_SECONDS: Final = 3600


@dataclass(frozen=True)
class Load:
    """Requests a second, at the peak and as the mean of a day; items a request, as a mean."""

    peak: float
    mean: float
    items: float

    def __post_init__(self) -> None:
        """A peak is not below the mean."""
        if not (0 < self.mean <= self.peak and self.items > 0):
            raise ValueError(f"requests and items must be above 0, and the peak not below the mean: {self}")


@dataclass(frozen=True)
class Pool:
    """How a tier is run: GPUs of one replica (a fraction of one for a shared GPU, 0 for none), and the least replicas."""

    gpus: float = 1.0
    least: int = 1

    def __post_init__(self) -> None:
        """At least one replica."""
        if self.gpus < 0 or self.least < 1:
            raise ValueError(f"a tier has at least one replica, and no negative number of GPUs: {self}")


@dataclass(frozen=True)
class Fleet:
    """Both predictors' pools, the share of time that a replica may be busy, and what a miss in the head does."""

    torso: Pool = Pool()
    tail: Pool = Pool()
    utilisation: float = 0.7
    policy: TierPolicy = TierPolicy.PER_QUERY

    def __post_init__(self) -> None:
        """Utilisation is a share."""
        if not 0 < self.utilisation <= 1:
            raise ValueError(f"utilisation must be above 0 and at most 1, is {self.utilisation}")


@dataclass(frozen=True)
class HeadBuild:
    """Pairs of a head query that are scored beforehand, and the share of them that changes in a day."""

    candidates: int = 200
    churn: float = 0.02

    def __post_init__(self) -> None:
        """A share, and something to score."""
        if self.candidates < 1 or not 0 <= self.churn <= 1:
            raise ValueError(f"candidates must be at least 1 and churn a share from 0 to 1: {self}")


@dataclass(frozen=True)
class TierNeed:
    """Pairs a second at the peak, replicas, GPU-hours a day that these hold, and those that the mean load uses."""

    pairs: float
    replicas: int
    held: float
    used: float


@dataclass(frozen=True)
class Plan:
    """One choice of boundaries. `build` are GPU-hours to score the whole head once, `refresh` those of a day's changes.

    `router_cores` are cores busy with head lookups at the peak; other work of routers is not in it.
    """

    choice: Choice
    router_cores: float
    torso: TierNeed
    tail: TierNeed
    build: float
    refresh: float

    @property
    def used(self) -> float:
        """GPU-hours a day that the mean load uses, refreshing the head included."""
        return self.torso.used + self.tail.used + self.refresh

    @property
    def held(self) -> float:
        """GPU-hours a day that the replicas for the peak hold."""
        return self.torso.held + self.tail.held


@dataclass(frozen=True)
class Planner:
    """Load, service times and fleet, for any boundaries."""

    load: Load
    times: ServiceTimes
    fleet: Fleet
    head: HeadBuild

    def plans(self, frequencies: Frequencies, boundaries: Iterable[Pair]) -> Iterator[Plan]:
        """A plan for each pair of boundaries."""
        yield from map(self._plan, Curve(frequencies).choices([*boundaries]))

    def everything_to_the_tail(self) -> TierNeed:
        """What the language model alone would need."""
        return self._need(1.0, self.times.tail_pair_seconds, self.fleet.tail)

    def _plan(self, choice: Choice) -> Plan:
        head, torso, tail = choice.shares
        times, whole = self.times, self.fleet.policy is TierPolicy.PER_QUERY
        missed = head * (1 - (times.head_request_hits if whole else times.head_pair_hits))
        build = choice.queries[0] * self.head.candidates * times.tail_pair_seconds * self.fleet.tail.gpus / _SECONDS
        return Plan(
            choice=choice,
            router_cores=self.load.peak * head * times.head_request_seconds / self.fleet.utilisation,
            torso=self._need(torso + missed, times.torso_pair_seconds, self.fleet.torso),
            tail=self._need(tail, times.tail_pair_seconds, self.fleet.tail),
            build=build,
            refresh=build * self.head.churn,
        )

    def _need(self, share: float, seconds: float, pool: Pool) -> TierNeed:
        pairs = self.load.peak * self.load.items * share
        # A billionth less: 3.0000000001 busy replicas, by rounding, are three.
        replicas = max(pool.least, ceil(pairs * seconds / self.fleet.utilisation - 1e-9))
        busy = self.load.mean * self.load.items * share * seconds
        return TierNeed(pairs, replicas, replicas * pool.gpus * _HOURS, busy * pool.gpus * _HOURS)


def zipf(queries: int, skew: float) -> Frequencies:
    """Frequencies where the query of rank r is asked in proportion to r^-skew (Zipf's law)."""
    if not 1 <= queries <= MOST_QUERIES or not 0 <= skew <= 5:
        raise ValueError(f"Zipf needs 1 to {MOST_QUERIES:,} queries and a skew from 0 to 5, not {queries:,} and {skew}")
    ranks = np.arange(1, queries + 1, dtype=np.float64)
    weights = np.maximum(1, np.rint(_SCALE * ranks**-skew)).astype(np.int64)
    values, counts = np.unique(weights, return_counts=True)
    return Frequencies(values[::-1].tolist(), counts[::-1].tolist())
