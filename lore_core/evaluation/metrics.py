"""Relevance metrics as functions of counts, so that one pass over the pairs serves every metric and every resample.

A sample's counts are one vector of `COLUMNS` numbers: the confusion of gold label (4 rows) against answer (4 labels and
"unparsable"), then the rule-flip groups and those answered right. Counts of disjoint sets of queries add up, which is what
the cluster bootstrap needs. Formulas: RAIR's Accuracy@4, Accuracy@2 and Macro-F1 over L1..L4.

Rules, the same for every metric:
- An answer that cannot be parsed is wrong in all of them, and `parse_rate` counts it.
- Macro-F1 is the mean over the classes that occur in the sample's gold labels. The set depends on gold alone, so candidate
  and champion are always averaged over the same classes; with all four present it is the usual quarter sum.
- F1, precision and recall of a class that does not occur in the sample's gold labels, and any metric of an empty sample, are
  undefined: NaN. The precision of a class that occurs and is never answered is 0.
- The ordinal metrics take an unparsable answer for the label farthest from gold.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LABELS: Final = ("L1", "L2", "L3", "L4")
UNPARSABLE: Final = -1
"""The answer's code where no label could be read."""

_ANSWERS: Final = len(LABELS) + 1
_CELLS: Final = len(LABELS) * _ANSWERS
_FLIP_GROUPS: Final = _CELLS
_FLIP_RIGHT: Final = _CELLS + 1
COLUMNS: Final = _CELLS + 2

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Labels = NDArray[Any]
"""Label codes, of any whole-number type."""

_GRADES: Final = np.arange(len(LABELS))
_DISTANCE: Final = np.abs(_GRADES[:, None] - _GRADES[None, :]).astype(np.float64)
_FARTHEST: Final = np.eye(len(LABELS))[_DISTANCE.argmax(axis=1)]


def counts_by_query(
    gold: NDArray[Any], answer: NDArray[Any], query: NDArray[Any], queries: int, flip: NDArray[Any] | None = None
) -> Floats:
    """Counts of each query, shape (queries, COLUMNS).

    `gold` holds 0..3, `answer` 0..3 or UNPARSABLE, `query` the query's number below `queries`, `flip` the rule-flip
    group's number or -1; all of shape (pairs,). A flip group is the same query and item under several rule sets: it counts
    where at least two of its pairs are here, and is right where all of them are.
    """
    _check_codes(gold, answer)
    column = np.where(answer == UNPARSABLE, _ANSWERS - 1, answer).astype(np.int64)
    cell = query.astype(np.int64) * _CELLS + gold.astype(np.int64) * _ANSWERS + column
    counts = np.zeros((queries, COLUMNS))
    counts[:, :_CELLS] = np.bincount(cell, minlength=queries * _CELLS).reshape(queries, _CELLS)
    if flip is not None and (flip >= 0).any():
        _add_flips(counts, gold == answer, query, flip)
    return counts


def _check_codes(gold: NDArray[Any], answer: NDArray[Any]) -> None:
    if gold.size and (gold.min() < 0 or gold.max() >= len(LABELS)):
        raise ValueError("gold: a label code lies outside 0..3")
    if answer.size and (answer.min() < UNPARSABLE or answer.max() >= len(LABELS)):
        raise ValueError("answer: a label code lies outside -1..3")


def _add_flips(counts: Floats, right: NDArray[np.bool_], query: NDArray[Any], flip: NDArray[Any]) -> None:
    member = flip >= 0
    _, first, group = np.unique(flip[member], return_index=True, return_inverse=True)
    size = np.bincount(group)
    all_right = np.bincount(group, weights=right[member]) == size
    owner, whole = query[member][first], size >= 2
    np.add.at(counts[:, _FLIP_GROUPS], owner[whole], 1.0)
    np.add.at(counts[:, _FLIP_RIGHT], owner[whole & all_right], 1.0)


def confusion(counts: Floats) -> Floats:
    """Gold (rows) against answer (columns L1..L4, unparsable); shape (..., 4, 5)."""
    return counts[..., :_CELLS].reshape(*counts.shape[:-1], len(LABELS), _ANSWERS)


def samples(counts: Floats) -> Floats:
    """Number of pairs, shape (...)."""
    return np.asarray(counts[..., :_CELLS].sum(axis=-1))


def accuracy4(counts: Floats) -> Floats:
    """Share of pairs with exactly the gold label."""
    return ratio(np.trace(confusion(counts), axis1=-2, axis2=-1), samples(counts))


def accuracy2(counts: Floats) -> Floats:
    """Share of pairs on the right side of the split {L1, L2} against {L3, L4}."""
    table = confusion(counts)
    right = table[..., :2, :2].sum(axis=(-2, -1)) + table[..., 2:, 2:4].sum(axis=(-2, -1))
    return ratio(right, samples(counts))


def f1_by_class(counts: Floats) -> Floats:
    """F1 of each class, shape (..., 4); NaN where the class has no gold label in the sample."""
    table = confusion(counts)
    gold, answered = table.sum(axis=-1), table[..., :4].sum(axis=-2)
    return np.where(gold > 0, ratio(2.0 * _right_by_class(table), gold + answered), np.nan)


def precision_by_class(counts: Floats) -> Floats:
    """Share of the answers of each class that are right, shape (..., 4)."""
    table = confusion(counts)
    share = np.nan_to_num(ratio(_right_by_class(table), table[..., :4].sum(axis=-2)))
    return np.where(table.sum(axis=-1) > 0, share, np.nan)


def recall_by_class(counts: Floats) -> Floats:
    """Share of each class's pairs that are answered with it, shape (..., 4)."""
    table = confusion(counts)
    return ratio(_right_by_class(table), table.sum(axis=-1))


def _right_by_class(table: Floats) -> Floats:
    return np.asarray(np.diagonal(table[..., :4], axis1=-2, axis2=-1))


def weighted_f1(counts: Floats) -> Floats:
    """Mean of the classes' F1, each weighted by its share of gold."""
    gold = confusion(counts).sum(axis=-1)
    return ratio((np.nan_to_num(f1_by_class(counts)) * gold).sum(axis=-1), gold.sum(axis=-1))


def _ordinal(counts: Floats) -> Floats:
    """Gold against answer with unparsable answers at the label farthest from gold; shape (..., 4, 4)."""
    table = confusion(counts)
    return np.asarray(table[..., :4] + table[..., 4:] * _FARTHEST)


def quadratic_kappa(counts: Floats) -> Floats:
    """Agreement beyond chance with squared distances as weights (Cohen, Psychological Bulletin 70, 1968)."""
    table = _ordinal(counts)
    by_chance = table.sum(axis=-1)[..., :, None] * table.sum(axis=-2)[..., None, :]
    expected = (by_chance * _DISTANCE**2).sum(axis=(-2, -1))
    return 1.0 - ratio((table * _DISTANCE**2).sum(axis=(-2, -1)) * samples(counts), expected)


def mean_absolute_error(counts: Floats) -> Floats:
    """Mean distance in grades between answer and gold."""
    return ratio((_ordinal(counts) * _DISTANCE).sum(axis=(-2, -1)), samples(counts))


def macro_f1(counts: Floats) -> Floats:
    """Mean of the F1 of the classes that occur in gold."""
    by_class = f1_by_class(counts)
    present = ~np.isnan(by_class)
    return ratio(np.where(present, by_class, 0.0).sum(axis=-1), present.sum(axis=-1))


def parse_rate(counts: Floats) -> Floats:
    """Share of pairs with an answer that could be parsed."""
    return ratio(confusion(counts)[..., :4].sum(axis=(-2, -1)), samples(counts))


def rule_flip(counts: Floats) -> Floats:
    """Share of rule-flip groups with every pair's label right."""
    return ratio(counts[..., _FLIP_RIGHT], counts[..., _FLIP_GROUPS])


def flip_groups(counts: Floats) -> Floats:
    """Number of rule-flip groups."""
    return np.asarray(counts[..., _FLIP_GROUPS])


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    """Quotients, NaN where the denominator is not positive."""
    result = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) > 0)
    return result
