"""What two answers to one request differ in, summed by stratum: pure arithmetic."""

import heapq
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from lore_core.replay.log import Logged
from lore_core.replay.sides import Reply
from lore_core.router.answering import NEUTRAL, UNKNOWN
from lore_core.router.answers import ItemAnswer, RelevanceAnswer

QUANTILES: Final = (50, 95, 99)
_LARGEST: Final = 50
_PROBLEMS: Final = 5
_UNSCORED: Final = frozenset({NEUTRAL, UNKNOWN})


@dataclass(frozen=True, order=True)
class Change:
    """One item whose label changed, ordered by how far its grade moved."""

    moved: float
    query: str
    market: str
    item: str
    title: str
    before: str
    after: str
    grades: tuple[float, float]
    tiers: tuple[str, str]


@dataclass
class Stratum:
    """Requests of one stratum, as the side `before` has it.

    `compared` items were scored by both sides; of them `changed` have another label, and `grades` is the sum of the
    absolute differences of their grades. `moved` requests have another stratum on the side `after`.
    """

    requests: int = 0
    moved: int = 0
    compared: int = 0
    changed: int = 0
    unscored: int = 0
    grades: float = 0.0
    milliseconds: tuple["array[float]", "array[float]"] = field(default_factory=lambda: (array("d"), array("d")))

    def latencies(self) -> list[list[float]]:
        """Milliseconds at `QUANTILES`, for before and for after."""
        return [np.percentile(np.frombuffer(times), QUANTILES).tolist() for times in self.milliseconds]


class Difference:
    """The whole replay's."""

    def __init__(self) -> None:
        self.strata: dict[str, Stratum] = {}
        self.labels: Counter[tuple[str, str]] = Counter()
        self.tiers: Counter[tuple[str, str]] = Counter()
        self.revisions: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.failed = [0, 0]
        self.problems: tuple[list[str], list[str]] = ([], [])
        self._largest: list[Change] = []

    @property
    def requests(self) -> int:
        """Requests that both sides answered."""
        return sum(stratum.requests for stratum in self.strata.values())

    def largest(self) -> list[Change]:
        """The changed labels whose grades moved furthest, first the furthest."""
        return sorted(self._largest, reverse=True)

    def add(self, logged: Logged, replies: list[Reply]) -> None:
        """One request with the replies of before and after."""
        before, after = (reply.answer for reply in replies)
        if before is None or after is None:
            self._fail(replies)
            return
        for answer, seen in zip((before, after), self.revisions, strict=True):
            seen[answer.revision] += 1
        stratum = self.strata.setdefault(before.stratum, Stratum())
        stratum.requests += 1
        stratum.moved += before.stratum != after.stratum
        self.tiers[before.tier, after.tier] += 1
        for times, reply in zip(stratum.milliseconds, replies, strict=True):
            times.append(reply.milliseconds)
        self._compare(stratum, logged, before, after)

    def _compare(self, stratum: Stratum, logged: Logged, before: RelevanceAnswer, after: RelevanceAnswer) -> None:
        for number, (old, new) in enumerate(zip(before.items, after.items, strict=True)):
            if {old.source, new.source} & _UNSCORED:
                stratum.unscored += 1
                continue
            stratum.compared += 1
            stratum.grades += abs(new.grade - old.grade)
            self.labels[old.label, new.label] += 1
            if old.label != new.label:
                stratum.changed += 1
                self._keep(_change(logged, number, old, new))

    def _keep(self, change: Change) -> None:
        (heapq.heappush if len(self._largest) < _LARGEST else heapq.heappushpop)(self._largest, change)

    def _fail(self, replies: list[Reply]) -> None:
        for which, reply in enumerate(replies):
            if reply.answer is None:
                self.failed[which] += 1
                said = self.problems[which]
                if len(said) < _PROBLEMS and reply.problem not in said:
                    said.append(reply.problem)

    def plain(self) -> dict[str, Any]:
        """For programs. Without queries and titles: what may be shown is the page's reader's to judge."""
        sides = ("before", "after")
        return {
            "requests": self.requests,
            "failed": dict(zip(sides, self.failed, strict=True)),
            "revisions": {name: dict(seen) for name, seen in zip(sides, self.revisions, strict=True)},
            "strata": {name: _plain(stratum) for name, stratum in sorted(self.strata.items())},
            "labels": [{"before": a, "after": b, "items": n} for (a, b), n in sorted(self.labels.items())],
            "tiers": [{"before": a, "after": b, "requests": n} for (a, b), n in sorted(self.tiers.items())],
        }


def _plain(stratum: Stratum) -> dict[str, Any]:
    names = [f"p{quantile}" for quantile in QUANTILES]
    before, after = (dict(zip(names, times, strict=True)) for times in stratum.latencies())
    return {
        "requests": stratum.requests,
        "movedStratum": stratum.moved,
        "comparedItems": stratum.compared,
        "changedLabels": stratum.changed,
        "unscoredItems": stratum.unscored,
        "meanGradeDifference": stratum.grades / stratum.compared if stratum.compared else None,
        "milliseconds": {"before": before, "after": after},
    }


def _change(logged: Logged, number: int, old: ItemAnswer, new: ItemAnswer) -> Change:
    asked = logged.asked
    return Change(
        moved=abs(new.grade - old.grade),
        query=asked.query,
        market=asked.market,
        item=old.id,
        title=asked.items[number].title or "",
        before=old.label,
        after=new.label,
        grades=(old.grade, new.grade),
        tiers=(old.tier, new.tier),
    )
