"""From answers to figures: each arm by cell, each contrast by cell with its interval, and what is required of it. Pure.

Seeds are pooled: a seed's world has queries of its own, and whole queries are drawn. Bounds are one-sided, at 95 % each.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from benchmarks.ablation.arms import CONTRASTS, JUDGED, SEVERAL, Contrast, cell
from benchmarks.ablation.runs import Outcome
from benchmarks.quality.seeds import pooled
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.table import PairTable
from lore_core.records import Pair

ACCURACY: Final = "Accuracy2"
METRICS: Final = (ACCURACY, "MacroF1")
ALL: Final = "all"
ROWS: Final = (*JUDGED, SEVERAL, ALL)
LIFT, HARM, ALIGN_HARM = 0.05, -0.02, -0.01
_CONFIDENCE: Final = 0.95
RESAMPLES, SEED = 2_000, 17

Gates = Mapping[int, Sequence[Pair]]
Row = dict[str, float]


class Bounded(Protocol):
    """A value with its bounds."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Difference:
    """By how much an arm is better in one cell, with a lower and an upper bound; pairs and queries that it is measured on."""

    metric: str
    cell: str
    value: float
    low: float
    high: float
    pairs: int
    queries: int


@dataclass(frozen=True)
class Verdict:
    """One requirement of one contrast, and whether it holds."""

    contrast: str
    requirement: str
    reached: bool


def tabled(gates: Gates, outcomes: Iterable[Outcome]) -> PairTable:
    """One arm's answers of all seeds in one table."""
    rows = ((found.seed, pair, found.answers[pair.id]) for found in outcomes for pair in gates[found.seed])
    return pooled(rows, "cell", cell)


def _where(name: str) -> dict[str, str]:
    return {} if name == ALL else {"cell": name}


def figures(table: PairTable) -> dict[str, Row]:
    """An arm's metrics in every cell, with the pairs there."""
    found = {}
    for name in ROWS:
        part = Slice(table.select(_where(name)), None, RESAMPLES, SEED)
        found[name] = {metric: part.value(metric) for metric in METRICS} | {"pairs": len(part.candidate)}
    return found


def differences(arm: PairTable, against: PairTable) -> list[Difference]:
    """Both metrics in every cell, paired by query."""
    whole = Slice(arm, against, RESAMPLES, SEED)
    return [_difference(whole.narrowed(_where(name)), metric, name) for name in ROWS for metric in METRICS]


def _difference(part: Slice, metric: str, name: str) -> Difference:
    return Difference(metric, name, *gain(part, metric), len(part.candidate), part.candidate.queries)


def gain(part: Slice, metric: str) -> tuple[float, float, float]:
    """By how much the slice's candidate is above its champion, with a lower and an upper bound; NaN where there is none."""
    bounds = part.regression_interval(metric, None, _CONFIDENCE)
    low, high = (-bounds.high, -bounds.low) if bounds else (math.nan, math.nan)
    return -part.regression(metric), low, high


def verdicts(contrast: Contrast, found: Iterable[Difference]) -> list[Verdict]:
    """What is required: a lift in the arm's own cell and no loss in the others; of alignment, no loss over all pairs."""
    at = {one.cell: one for one in found if one.metric == ACCURACY}
    if contrast.own is None:
        return [_kept(contrast, at[ALL], ALIGN_HARM)]
    own = at[contrast.own]
    lift = f"{own.cell} {points(own)}: at least {100 * LIFT:+.0f}, bound above 0"
    lifted = Verdict(contrast.name, lift, own.value >= LIFT and own.low > 0)
    return [lifted, *(_kept(contrast, at[name], HARM) for name in JUDGED if name != contrast.own)]


def _kept(contrast: Contrast, one: Difference, least: float) -> Verdict:
    return Verdict(contrast.name, f"{one.cell} {points(one)}: bound at least {100 * least:+.0f}", one.low >= least)


def points(one: Bounded) -> str:
    """A difference and its bounds in points."""
    value, low, high = (round(100 * number, 1) + 0.0 for number in (one.value, one.low, one.high))  # no -0.0
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def contrasted(tables: Mapping[str, PairTable]) -> dict[Contrast, list[Difference]]:
    """The differences of every contrast whose two arms were run."""
    return {
        contrast: differences(tables[contrast.arm], tables[contrast.against])
        for contrast in CONTRASTS
        if contrast.arm in tables and contrast.against in tables
    }
