"""One slice of an evaluation: the candidate's pairs, the champion's on the same pairs, and their shared resamples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lore_core.evaluation.bootstrap import Interval, deviation, interval, resample_sums
from lore_core.evaluation.catalogue import Family, metric
from lore_core.evaluation.metrics import Floats
from lore_core.evaluation.paired import swapped_sums, two_sided
from lore_core.evaluation.power import carriers, design_effect, least_deviation
from lore_core.evaluation.table import PairTable


@dataclass(frozen=True)
class Slice:
    """Paired tables of one slice. Raises ValueError where the two do not hold the same pairs and gold labels."""

    candidate: PairTable
    champion: PairTable | None
    resamples: int
    seed: int

    def __post_init__(self) -> None:
        other = self.champion
        if other is not None and (
            self.candidate.pair_ids != other.pair_ids or not np.array_equal(self.candidate.gold, other.gold)
        ):
            raise ValueError("candidate and champion do not answer the same pairs; evaluate both on one benchmark")

    def narrowed(self, where: Mapping[str, str], flips_only: bool = False) -> "Slice":
        """The part with these field values; `flips_only` keeps the pairs of rule-flip groups."""
        rows = self.candidate.mask(where)
        if flips_only:
            rows &= self.candidate.flip >= 0
        if rows.all():
            return self  # what it has counted and drawn is shared
        champion = self.champion.rows(rows) if self.champion else None
        return Slice(self.candidate.rows(rows), champion, self.resamples, self.seed)

    def value(self, name: str, label: str | None = None) -> float:
        """The candidate's metric; NaN where undefined."""
        found = metric(name, label)
        return float(found.of(self._counts(found.family)[0].sum(axis=0)))

    def champion_value(self, name: str, label: str | None = None) -> float:
        """The champion's metric; NaN where undefined or where there is no champion."""
        found = metric(name, label)
        return float(found.of(self._counts(found.family)[1].sum(axis=0))) if self.champion else math.nan

    def regression(self, name: str, label: str | None = None) -> float:
        """By how much the candidate is worse than the champion, in the metric's unit; NaN without a champion."""
        lost = self.champion_value(name, label) - self.value(name, label)
        return lost if metric(name, label).rising else -lost

    def value_interval(self, name: str, label: str | None, confidence: float) -> Interval | None:
        """Bounds of the candidate's metric, each at `confidence`."""
        return interval(self._values(name, label), self.candidate.queries, confidence)

    def value_deviation(self, name: str, label: str | None = None) -> float | None:
        """Standard error of the candidate's metric."""
        return deviation(self._values(name, label))

    def regression_interval(self, name: str, label: str | None, confidence: float) -> Interval | None:
        """Bounds of the regression, each at `confidence`; None without a champion."""
        return interval(self._regressions(name, label), self.candidate.queries, confidence) if self.champion else None

    def regression_deviation(self, name: str, label: str | None = None) -> float | None:
        """Standard error of the regression; None without a champion."""
        return deviation(self._regressions(name, label)) if self.champion else None

    def least_regression_deviation(self, name: str, label: str | None, margin: float) -> float:
        """The smallest standard error of champion minus candidate that a gate on `margin` believes; see power.py."""
        if self.champion is None:
            return math.inf
        groups = carriers(self.candidate, self.champion, name, label)
        return least_deviation(groups, design_effect(self.candidate.counts), margin)

    def sign_flip(self, name: str, label: str | None = None) -> float | None:
        """Two-sided p-value of the difference, by swapping whole queries (paired.py); None without a champion."""
        if self.champion is None:
            return None
        found = metric(name, label)
        if found.family.name not in self._swapped:
            own, other = self._counts(found.family)
            self._swapped[found.family.name] = swapped_sums(own, other, self.resamples, self.seed)
        candidate, champion = (found.of(sums) for sums in self._swapped[found.family.name])
        return two_sided(self.champion_value(name, label) - self.value(name, label), np.subtract(champion, candidate))

    def _values(self, name: str, label: str | None) -> Floats:
        found = metric(name, label)
        return found.of(self._sums(found.family)[0])

    def _regressions(self, name: str, label: str | None) -> Floats:
        found = metric(name, label)
        candidate, champion = (found.of(sums) for sums in self._sums(found.family))
        return np.subtract(champion, candidate) if found.rising else np.subtract(candidate, champion)

    def _counts(self, family: Family) -> tuple[Floats, ...]:
        """Per-query counts of the candidate, then of the champion."""
        if family.name not in self._counted:
            tables = [self.candidate, *([self.champion] if self.champion else [])]
            self._counted[family.name] = tuple(family.count(table) for table in tables)
        return self._counted[family.name]

    def _sums(self, family: Family) -> tuple[Floats, ...]:
        """The candidate's counts of each resample, then the champion's; both see the same draws."""
        if family.name not in self._drawn:
            counts = self._counts(family)
            sums = resample_sums(np.hstack(counts), self.resamples, self.seed)
            self._drawn[family.name] = tuple(np.hsplit(sums, len(counts)))
        return self._drawn[family.name]

    @cached_property
    def _counted(self) -> dict[str, tuple[Floats, ...]]:
        return {}

    @cached_property
    def _drawn(self) -> dict[str, tuple[Floats, ...]]:
        return {}

    @cached_property
    def _swapped(self) -> dict[str, tuple[Floats, Floats]]:
        return {}
