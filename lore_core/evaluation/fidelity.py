"""How closely a model follows the champion beside it: for a student whose champion is its teacher, its fidelity to the teacher.

Gold does not enter agreement and rank correlation, so both tell what a student lost by being small from what its teacher got
wrong; the two accuracies beside them tell the rest. An answer that cannot be parsed agrees with nothing.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from lore_core.evaluation.bootstrap import interval, resample_sums
from lore_core.evaluation.gates import number
from lore_core.evaluation.metrics import UNPARSABLE, Floats, ratio
from lore_core.evaluation.scores import slice_selectors
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.table import PairTable
from lore_core.jobs.config import Decimal, WireModel

ALL: Final = "all pairs"
FIELDS: Final = ("stratum", "subset", "cell")
"""What it is told by: `stratum` is the tag of a benchmark's records that tells strata apart."""
_END_CONFIDENCE: Final = 0.975
_PAIRS, _SAME, _SAME_SIDE, _RANKED, _CORRELATION = range(5)
_MILLION: Final = 1_000_000
_GRADES: Final = np.arange(1.0, 5.0)


class FidelityRow(WireModel):
    """One slice. `agreement` is the share of pairs with the champion's label, with a two-sided 95 % interval.

    `agreement2` is the share on the champion's side of {L1, L2} against {L3, L4}; `rank_correlation` the mean over queries of
    Spearman's correlation of the two models' expected grades, absent where neither query nor model ranks anything;
    `accuracy` and `champion_accuracy` are the shares with the gold label.
    """

    slice: str
    pairs: int
    queries: int
    agreement: Decimal
    agreement_low: Decimal | None = None
    agreement_high: Decimal | None = None
    agreement2: Decimal
    rank_correlation: Decimal | None = None
    ranked_queries: int
    accuracy: Decimal
    champion_accuracy: Decimal


def fidelity(scores: Slice) -> list[FidelityRow]:
    """All pairs, then each stratum, subset and capability cell; nothing without a champion."""
    if scores.champion is None or not len(scores.candidate):
        return []
    slices = [item for where in slice_selectors(scores) for item in where.items() if item[0] in FIELDS]
    slices.sort(key=lambda item: FIELDS.index(item[0]))
    parts = [(f"{field}={value}", scores.narrowed({field: value})) for field, value in slices]
    return [row for name, part in [(ALL, scores), *parts] for row in _row(name, part)]


def _row(name: str, part: Slice) -> Iterator[FidelityRow]:
    if part.champion is None:
        return
    own, other = part.candidate, part.champion
    counts = fidelity_counts(own, other)
    total, sums = counts.sum(axis=0), resample_sums(counts, part.resamples, part.seed)
    bounds = interval(ratio(sums[:, _SAME], sums[:, _PAIRS]), own.queries, _END_CONFIDENCE)
    yield FidelityRow(
        slice=name,
        pairs=len(own),
        queries=own.queries,
        agreement=str(number(float(total[_SAME] / total[_PAIRS]))),
        agreement_low=number(bounds.low if bounds else None),
        agreement_high=number(bounds.high if bounds else None),
        agreement2=str(number(float(total[_SAME_SIDE] / total[_PAIRS]))),
        rank_correlation=number(float(ratio(total[_CORRELATION] / _MILLION, total[_RANKED]))),
        ranked_queries=int(total[_RANKED]),
        accuracy=str(number(part.value("Accuracy4"))),
        champion_accuracy=str(number(part.champion_value("Accuracy4"))),
    )


def fidelity_counts(own: PairTable, other: PairTable) -> Floats:
    """Counts of each query, shape (queries, 5): pairs, same label, same side, whether it is ranked, correlation in millionths."""
    counts = np.zeros((own.queries, 5))
    known = (own.answer != UNPARSABLE) & (other.answer != UNPARSABLE)
    same_side = known & ((own.answer >= 2) == (other.answer >= 2))
    for column, chosen in (
        (_PAIRS, np.ones(len(own), dtype=np.bool_)),
        (_SAME, known & (own.answer == other.answer)),
        (_SAME_SIDE, same_side),
    ):
        counts[:, column] = np.bincount(own.query[chosen], minlength=own.queries)
    scored = own.measured.scored & other.measured.scored
    grades = np.stack([np.round(table.measured.probabilities @ _GRADES, 12) for table in (own, other)])
    order = np.argsort(own.query, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(own.query[order])) + 1):
        found = _spearman(*grades[:, rows[scored[rows]]])
        if found is not None:
            counts[own.query[rows[0]], _RANKED] = 1
            counts[own.query[rows[0]], _CORRELATION] = round(found * _MILLION)
    return counts


def _spearman(first: Floats, second: Floats) -> float | None:
    """Pearson's correlation of average ranks (Spearman, 1904); None where one side ranks nothing."""
    ranks = [_ranks(values) - _ranks(values).mean() for values in (first, second)] if first.size else []
    if not ranks or not all(one.any() for one in ranks):
        return None
    left, right = ranks
    return float((left * right).sum() / np.sqrt((left**2).sum() * (right**2).sum()))


def _ranks(values: Floats) -> Floats:
    """Average ranks: ties share the mean of their places."""
    below, equal = values[:, None] > values, values[:, None] == values
    return np.asarray(below.sum(axis=1) + equal.sum(axis=1) / 2.0)
