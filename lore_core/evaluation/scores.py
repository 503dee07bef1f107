"""The table of scores in a report: which metrics over which slices, with intervals."""

from collections.abc import Iterator
from typing import Final

from lore_core.evaluation.gates import number
from lore_core.evaluation.metrics import LABELS
from lore_core.evaluation.slices import Slice
from lore_core.jobs.config import Decimal, WireModel

PRIMARY: Final = "Accuracy2"
HEADLINE: Final = ("Accuracy2", "Accuracy4", "MacroF1")
_OVERALL: Final = (
    *("WeightedF1", "ParseRate", "QuadraticKappa", "MeanAbsoluteError", "NDCG5", "NDCG10", "QueryAUC"),
    *("CalibrationError", "LowConfidence", "LowConfidenceError", "TierMacroF1", "CrossTierInversion"),
    *("PassAt1", "MajorityAtK", "PassAtKAboveChance", "PassAtKChecked", "PromptTokens", "OutputTokens"),
)
_BY_LABEL: Final = ("F1", "Precision", "Recall")
_MOST_VALUES: Final = 64
"""A field with more values than this is no slicing of a report; a gate may still name one of its values."""
_END_CONFIDENCE: Final = 0.975


class ScoreRow(WireModel):
    """One metric over one slice, with a two-sided 95 % interval; `regression` is how much worse than the champion it is."""

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
    """All metrics over all pairs, then over each value of each field: the headline ones of every slice come first."""
    rows = _all_metrics(scores, "all pairs")
    sliced = [row for name, where in slices(scores) for row in _all_metrics(scores.narrowed(where), name)]
    return rows + sorted(sliced, key=lambda row: row.metric not in HEADLINE)


def _all_metrics(scores: Slice, where: str) -> list[ScoreRow]:
    by_label = [(name, label) for name in _BY_LABEL for label in LABELS]
    rows = list(_rows(scores, where, [*((name, None) for name in HEADLINE), *by_label[: len(LABELS)]]))
    rows += _rows(scores.narrowed({}, flips_only=True), where, [("RuleFlip", None)])
    return [*rows, *_rows(scores, where, [*((name, None) for name in _OVERALL), *by_label[len(LABELS) :]])]


def slices(scores: Slice) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and selector of each slice of a report."""
    for where in slice_selectors(scores):
        ((field, value),) = where.items()
        yield f"{field}={value}", where


def slice_selectors(scores: Slice) -> Iterator[dict[str, str]]:
    """Slices that are neither empty nor everything, subsets and capability cells first, then by field and value."""
    fields = scores.candidate.fields
    for field in sorted(fields, key=lambda name: (name != "subset", name != "cell", name)):
        values = [value for value in fields[field].values if value]
        if len(fields[field].values) > 1 and len(values) <= _MOST_VALUES:
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
        regression=number(scores.regression(name, label)),
        regression_low=number(lost.low if lost else None),
        regression_high=number(lost.high if lost else None),
        queries=scores.candidate.queries,
        samples=len(scores.candidate),
    )
