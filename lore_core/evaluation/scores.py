"""The table of scores in a report: which metrics over which slices, with intervals."""

from collections.abc import Iterator
from typing import Final

from lore_core.evaluation.gates import number
from lore_core.evaluation.metrics import LABELS
from lore_core.evaluation.slices import Slice
from lore_core.jobs.config import Decimal, WireModel

PRIMARY: Final = "Accuracy2"
_HEADLINE: Final = ("Accuracy2", "Accuracy4", "MacroF1")
_SLICED_BY: Final = ("subset", "cell", "market", "industry")
_END_CONFIDENCE: Final = 0.975


class ScoreRow(WireModel):
    """One metric over one slice, with a two-sided 95 % interval; `regression` is champion minus candidate."""

    metric: str
    slice: str
    value: Decimal
    low: Decimal | None = None
    high: Decimal | None = None
    champion: Decimal | None = None
    regression: Decimal | None = None
    regression_low: Decimal | None = None
    regression_high: Decimal | None = None
    queries: int
    samples: int


def score_rows(scores: Slice) -> list[ScoreRow]:
    """All metrics over all pairs, then the headline ones over each subset, capability cell, market and industry."""
    overall = [*((name, None) for name in (*_HEADLINE, "ParseRate")), *(("F1", label) for label in LABELS)]
    rows = list(_rows(scores, "all pairs", overall))
    rows += _rows(scores.narrowed({}, flips_only=True), "all pairs", [("RuleFlip", None)])
    for where in _slices(scores):
        ((field, value),) = where.items()
        rows += _rows(scores.narrowed(where), f"{field}={value}", [(name, None) for name in _HEADLINE])
    return rows


def _slices(scores: Slice) -> Iterator[dict[str, str]]:
    """Slices that are neither empty nor everything, in field then value order."""
    for field in _SLICED_BY:
        column = scores.candidate.fields.get(field)
        values = [value for value in column.values if value] if column else []
        if column and len(column.values) > 1:
            yield from ({field: value} for value in values)


def _rows(scores: Slice, where: str, wanted: list[tuple[str, str | None]]) -> Iterator[ScoreRow]:
    for name, label in wanted:
        value = number(scores.value(name, label)) if len(scores.candidate) else None
        if value is not None:
            yield _row(scores, where, name, label, value)


def _row(scores: Slice, where: str, name: str, label: str | None, value: str) -> ScoreRow:
    own = scores.value_interval(name, label, _END_CONFIDENCE)
    lost = scores.regression_interval(name, label, _END_CONFIDENCE)
    champion = scores.champion_value(name, label)
    return ScoreRow(
        metric=name if label is None else f"{name}:{label}",
        slice=where,
        value=value,
        low=number(own.low if own else None),
        high=number(own.high if own else None),
        champion=number(champion),
        regression=number(champion - scores.value(name, label)),
        regression_low=number(lost.low if lost else None),
        regression_high=number(lost.high if lost else None),
        queries=scores.candidate.queries,
        samples=len(scores.candidate),
    )
