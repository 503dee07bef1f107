"""One slice of an evaluation: the candidate's pairs, the champion's on the same pairs, and their shared resamples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lore_core.evaluation.bootstrap import Interval, deviation, interval, resample_sums
from lore_core.evaluation.metrics import COLUMNS, Floats, metric
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
        champion = self.champion.rows(rows) if self.champion else None
        return Slice(self.candidate.rows(rows), champion, self.resamples, self.seed)

    def value(self, name: str, label: str | None = None) -> float:
        """The candidate's metric; NaN where undefined."""
        return float(metric(name, label)(self.candidate.totals))

    def champion_value(self, name: str, label: str | None = None) -> float:
        """The champion's metric; NaN where undefined or where there is no champion."""
        return float(metric(name, label)(self.champion.totals)) if self.champion else float("nan")

    def value_interval(self, name: str, label: str | None, confidence: float) -> Interval | None:
        """Bounds of the candidate's metric, each at `confidence`."""
        return interval(metric(name, label)(self._sums[:, :COLUMNS]), self.candidate.queries, confidence)

    def value_deviation(self, name: str, label: str | None = None) -> float | None:
        """Standard error of the candidate's metric."""
        return deviation(metric(name, label)(self._sums[:, :COLUMNS]))

    def regression_interval(self, name: str, label: str | None, confidence: float) -> Interval | None:
        """Bounds of champion minus candidate, each at `confidence`; None without a champion."""
        return interval(self._regressions(name, label), self.candidate.queries, confidence) if self.champion else None

    def regression_deviation(self, name: str, label: str | None = None) -> float | None:
        """Standard error of champion minus candidate; None without a champion."""
        return deviation(self._regressions(name, label)) if self.champion else None

    def least_regression_deviation(self, name: str, label: str | None, margin: float) -> float:
        """The smallest standard error of champion minus candidate that a gate on `margin` believes; see power.py."""
        if self.champion is None:
            return math.inf
        groups = carriers(self.candidate, self.champion, name, label)
        return least_deviation(groups, design_effect(self.candidate.counts), margin)

    def _regressions(self, name: str, label: str | None) -> Floats:
        of = metric(name, label)
        return np.subtract(of(self._sums[:, COLUMNS:]), of(self._sums[:, :COLUMNS]))

    @cached_property
    def _sums(self) -> Floats:
        """Counts of each resample, the champion's to the right of the candidate's, so that both see the same draws."""
        counts = self.candidate.counts
        return resample_sums(
            np.hstack([counts, self.champion.counts]) if self.champion else counts, self.resamples, self.seed
        )
