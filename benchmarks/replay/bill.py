"""What a replayed day costs, by tier policy, beside every pair asked of the language model: pure arithmetic."""

from dataclasses import dataclass
from statistics import mean
from typing import Final

from benchmarks.replay.day import Day
from lore_core.capacity.service_times import ServiceTimes
from lore_core.router.config import TierPolicy

_THOUSAND: Final = 1000
_HOURS: Final = 1_000_000 / 3600


@dataclass(frozen=True)
class Seconds:
    """Compute seconds: of one request's lookup in the head, and of one pair at each predictor."""

    lookup: float
    torso: float
    tail: float


@dataclass(frozen=True)
class Shown:
    """Pairs of a request, and pairs of the head that a day changes: the language model scores them anew, beforehand."""

    page: int
    refreshed: float


@dataclass(frozen=True)
class Bill:
    """Compute seconds of `requests` requests, by what they are for."""

    requests: int
    lookups: float = 0.0
    torso: float = 0.0
    tail: float = 0.0
    refresh: float = 0.0

    @property
    def seconds(self) -> float:
        """All of them."""
        return self.lookups + self.torso + self.tail + self.refresh

    @property
    def per_thousand(self) -> float:
        """Compute seconds of 1,000 requests."""
        return self.seconds / self.requests * _THOUSAND

    @property
    def hours_per_million(self) -> float:
        """Compute hours of a million requests: what a price is put to."""
        return self.seconds / self.requests * _HOURS

    @property
    def rate(self) -> float:
        """Requests a second that one core, or one GPU, answers."""
        return self.requests / self.seconds

    def cheaper_than(self, other: "Bill") -> float:
        """The factor: how many times its seconds another bill for as many requests has."""
        return other.seconds / self.seconds


def stratified(day: Day, policy: TierPolicy, seconds: Seconds, shown: Shown) -> Bill:
    """Head queries are looked up; what the head lacks goes to the torso: every pair of the request, or those missed."""
    missed = {
        TierPolicy.PER_QUERY: (day.requests["head"] - day.answered["head"]) * shown.page,
        TierPolicy.PER_ITEM: day.pairs["stale"] + day.pairs["miss"],
    }[policy]
    return Bill(
        day.requests.total(),
        lookups=day.requests["head"] * seconds.lookup,
        torso=(day.requests["torso"] * shown.page + missed) * seconds.torso,
        tail=day.requests["tail"] * shown.page * seconds.tail,
        refresh=shown.refreshed * seconds.tail,
    )


def everything_to_the_tail(day: Day, seconds: Seconds, shown: Shown) -> Bill:
    """No strata: the language model scores every pair of every request."""
    requests = day.requests.total()
    return Bill(requests, tail=requests * shown.page * seconds.tail)


def most(day: Day, shown: Shown) -> float:
    """What the factor comes to as the language model gets slower: then its own pairs are all that counts."""
    return day.requests.total() * shown.page / (day.requests["tail"] * shown.page + shown.refreshed)


def lookup_seconds(day: Day) -> float:
    """Mean core-seconds of a head request's lookup; 0 where no request was one."""
    return mean(day.seconds) if day.seconds else 0.0


def service_times(day: Day, seconds: Seconds, source: str) -> ServiceTimes:
    """What a plan of capacity needs of the day."""
    return ServiceTimes(
        source=source,
        head_request_seconds=seconds.lookup,
        torso_pair_seconds=seconds.torso,
        tail_pair_seconds=seconds.tail,
        head_pair_hits=day.hits,
        head_request_hits=day.answered["head"] / max(1, day.requests["head"]),
    )
