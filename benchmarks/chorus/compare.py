"""Contenders side by side: scores with intervals, and the student's difference to each, paired by query."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lore_core.evaluation.bootstrap import Interval
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.table import PairTable
from lore_core.records import Pair

METRICS: Final = ("Accuracy4", "Accuracy2", "MacroF1")
STUDENT: Final = "student"
LEXICAL: Final = "lexical"
ALL, DISJOINT = "all pairs", "items not in training"
ACCURACY2_MARGIN: Final = -0.02
_EACH_END: Final = 0.975
_RESAMPLES: Final = 2000
_SEED: Final = 17

Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Score:
    """One contender's metric over one slice with a 95 % interval; `difference` is student minus contender."""

    slice: str
    contender: str
    metric: str
    value: float
    interval: Interval | None
    difference: float
    difference_interval: Interval | None
    pairs: int
    queries: int


def compare(pairs: Sequence[Pair], answers: Mapping[str, Labels], unseen: NDArray[np.bool_]) -> list[Score]:
    """Scores of every contender on all pairs and on those whose item no training pair of their fold has."""
    tables = {name: _table(pairs, labels, unseen) for name, labels in answers.items()}
    return [score for where in (ALL, DISJOINT) for name in tables for score in _scores(tables, name, where)]


def _table(pairs: Sequence[Pair], labels: Labels, unseen: NDArray[np.bool_]) -> PairTable:
    gold = [pair.groundtruth.grade - 1 for pair in pairs]
    fields = {"unseen": ["yes" if one else "no" for one in unseen]}
    ids, queries = [pair.id for pair in pairs], [pair.query for pair in pairs]
    return PairTable.build(ids, queries, gold, labels.tolist(), fields)


def _scores(tables: Mapping[str, PairTable], name: str, where: str) -> Iterator[Score]:
    selector = {"unseen": "yes"} if where == DISJOINT else {}
    # The student is the champion here, so that "champion minus candidate" is student minus contender.
    both = Slice(tables[name], tables[STUDENT], _RESAMPLES, _SEED).narrowed(selector)
    for metric in METRICS if len(both.candidate) else ():
        yield Score(
            slice=where,
            contender=name,
            metric=metric,
            value=both.value(metric),
            interval=both.value_interval(metric, None, _EACH_END),
            difference=both.champion_value(metric) - both.value(metric),
            difference_interval=both.regression_interval(metric, None, _EACH_END),
            pairs=len(both.candidate),
            queries=both.candidate.queries,
        )


def requirements(scores: Sequence[Score]) -> dict[str, bool]:
    """What the student must reach against the lexical rule on all pairs, and whether it does."""
    found = {score.metric: score for score in scores if (score.slice, score.contender) == (ALL, LEXICAL)}
    lower = found["Accuracy2"].difference_interval
    return {
        "Macro-F1 above lexical": found["MacroF1"].difference > 0,
        f"Accuracy@2 minus lexical: lower bound at least {ACCURACY2_MARGIN}": (
            lower is not None and lower.low >= ACCURACY2_MARGIN
        ),
    }


def table(scores: Sequence[Score]) -> str:
    """The scores as Markdown."""
    lines = []
    for where in dict.fromkeys(score.slice for score in scores):
        chosen = [score for score in scores if score.slice == where]
        lines += [f"\n{where}: {chosen[0].pairs} pairs, {chosen[0].queries} queries\n", *_table_of(chosen)]
    return "\n".join(lines)


def _table_of(scores: Sequence[Score]) -> list[str]:
    header = ["| contender | " + " | ".join(METRICS) + " | student − contender: " + " | ".join(METRICS) + " |"]
    header.append("|---" * (2 * len(METRICS) + 1) + "|")
    rows = []
    for name in dict.fromkeys(score.contender for score in scores):
        mine = [score for score in scores if score.contender == name]
        values = [f"{score.value:.3f} {_shown(score.interval)}" for score in mine]
        differences = ["–" if name == STUDENT else _difference(score) for score in mine]
        rows.append("| " + " | ".join([name, *values, *differences]) + " |")
    return header + rows


def _difference(score: Score) -> str:
    return f"{score.difference:+.3f} {_shown(score.difference_interval)}"


def _shown(interval: Interval | None) -> str:
    return f"[{interval.low:.3f}, {interval.high:.3f}]" if interval else ""


def document(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """The scores for JSON."""
    return [
        {
            **{name: getattr(score, name) for name in ("slice", "contender", "metric", "value", "difference")},
            "interval": _ends(score.interval),
            "differenceInterval": _ends(score.difference_interval),
            "pairs": score.pairs,
            "queries": score.queries,
        }
        for score in scores
    ]


def _ends(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval else None
