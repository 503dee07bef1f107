"""Arms side by side: scores with intervals over queries, and the picture arm's difference to each, paired by query."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.pictures.arms import Arm
from benchmarks.pictures.runs import SUBSETS, VISUAL, Answers
from benchmarks.quality.seeds import pooled
from lore_core.evaluation.bootstrap import Interval
from lore_core.evaluation.metrics import accuracy2
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.table import PairTable

METRIC: Final = "Accuracy2"
PRIOR: Final = 0.5
"""What a model that sees nothing reaches: of a query's four items two are on either side."""
AIM: Final = 0.85
MARGIN: Final = 0.01
_EACH_END: Final = 0.975
_RESAMPLES: Final = 2_000
_SEED: Final = 17


@dataclass(frozen=True)
class Score:
    """An arm's Accuracy@2 on one subset with a 95 % interval; `lost` is by how much the picture arm is below it."""

    subset: str
    arm: Arm
    value: float
    interval: Interval | None
    lost: float
    lost_interval: Interval | None
    pairs: int
    queries: int


def tabled(seeds: Mapping[int, Answers]) -> PairTable:
    """An arm's answers of one seed or several in one table."""
    rows = ((seed, pair, answer) for seed, found in seeds.items() for pair, answer in found)
    return pooled(rows, "subset", lambda pair: pair.subset)


def summary(table: PairTable) -> str:
    """Accuracy@2 of one arm on every subset, in a line."""
    parts = ((subset, table.select({"subset": subset})) for subset in SUBSETS)
    return "  ".join(f"{subset}: {float(accuracy2(part.totals)):.3f}" for subset, part in parts)


def scores(tables: Mapping[Arm, PairTable]) -> list[Score]:
    """Every arm on every subset."""
    return list(_scores(tables))


def _scores(tables: Mapping[Arm, PairTable]) -> Iterator[Score]:
    for subset in SUBSETS:
        for arm, table in tables.items():
            both = Slice(tables[Arm.PICTURE], table, _RESAMPLES, _SEED).narrowed({"subset": subset})
            own = Slice(table, None, _RESAMPLES, _SEED).narrowed({"subset": subset})
            yield Score(
                subset=subset,
                arm=arm,
                value=own.value(METRIC),
                interval=own.value_interval(METRIC, None, _EACH_END),
                lost=both.regression(METRIC),
                lost_interval=both.regression_interval(METRIC, None, _EACH_END),
                pairs=len(both.candidate),
                queries=both.candidate.queries,
            )


def missed(found: list[Score]) -> list[str]:
    """Yardsticks that the arms do not reach."""
    by = {(score.subset, score.arm): score for score in found}
    short = []
    if (seen := by[VISUAL, Arm.PICTURE]).value < AIM:
        short.append(f"picture: Accuracy@2 {seen.value:.3f} on {VISUAL}, aim {AIM}")
    for arm in (Arm.BLANK, Arm.SHUFFLED):
        bounds = by[VISUAL, arm].interval
        if bounds is None or not bounds.low <= PRIOR <= bounds.high:
            short.append(f"{arm}: interval {shown(bounds)} on {VISUAL} does not hold the prior {PRIOR}")
    for subset in SUBSETS[1:]:
        if (lost := by[subset, Arm.CAPTION].lost) > MARGIN:
            short.append(f"picture: {lost:.3f} below caption on {subset}, at most {MARGIN} is")
    return short


def table(found: list[Score]) -> str:
    """The scores as text."""
    lines = []
    for subset in SUBSETS:
        rows = [score for score in found if score.subset == subset]
        lines.append(f"\n{subset}: {rows[0].pairs} pairs, {rows[0].queries} queries")
        lines.append(f"{'arm':20}{'Accuracy@2':>12}  {'95 %':16}{'picture - arm':>14}  95 %")
        for row in rows:
            lead = "" if row.arm is Arm.PICTURE else f"{-row.lost:>+14.3f}  {_turned(row.lost_interval)}"
            lines.append(f"{row.arm:20}{row.value:>12.3f}  {shown(row.interval):16}{lead}".rstrip())
    return "\n".join(lines)


def shown(bounds: Interval | None) -> str:
    """An interval as text."""
    return "[-]" if bounds is None else f"[{bounds.low:.3f}, {bounds.high:.3f}]"


def _turned(lost: Interval | None) -> str:
    return shown(Interval(-lost.high, -lost.low) if lost else None)
