"""Relevance metrics as functions of counts, so that one pass over the pairs serves every metric and every resample.

A sample's counts are one vector of `COLUMNS` numbers: the confusion of gold label (4 rows) against answer (4 labels and
"unparsable"), then the rule-flip groups and those answered right. Counts of disjoint sets of queries add up, which is what
the cluster bootstrap needs. Formulas: RAIR's Accuracy@4, Accuracy@2 and Macro-F1 over L1..L4.

Rules, the same for every metric:
- An answer that cannot be parsed is wrong in all of them, and `parse_rate` counts it.
- Macro-F1 is the mean over the classes that occur in the sample's gold labels. The set depends on gold alone, so candidate
  and champion are always averaged over the same classes; with all four present it is the usual quarter sum.
- F1 of a class that does not occur in the sample's gold labels, and any metric of an empty sample, is undefined: NaN.
"""

from collections.abc import Callable
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
    return _ratio(np.trace(confusion(counts), axis1=-2, axis2=-1), samples(counts))


def accuracy2(counts: Floats) -> Floats:
    """Share of pairs on the right side of the split {L1, L2} against {L3, L4}."""
    table = confusion(counts)
    right = table[..., :2, :2].sum(axis=(-2, -1)) + table[..., 2:, 2:4].sum(axis=(-2, -1))
    return _ratio(right, samples(counts))


def f1_by_class(counts: Floats) -> Floats:
    """F1 of each class, shape (..., 4); NaN where the class has no gold label in the sample."""
    table = confusion(counts)
    true_positive = np.diagonal(table[..., :4], axis1=-2, axis2=-1)
    gold, answered = table.sum(axis=-1), table[..., :4].sum(axis=-2)
    return np.where(gold > 0, _ratio(2.0 * true_positive, gold + answered), np.nan)


def macro_f1(counts: Floats) -> Floats:
    """Mean of the F1 of the classes that occur in gold."""
    by_class = f1_by_class(counts)
    present = ~np.isnan(by_class)
    return _ratio(np.where(present, by_class, 0.0).sum(axis=-1), present.sum(axis=-1))


def parse_rate(counts: Floats) -> Floats:
    """Share of pairs with an answer that could be parsed."""
    return _ratio(confusion(counts)[..., :4].sum(axis=(-2, -1)), samples(counts))


def rule_flip(counts: Floats) -> Floats:
    """Share of rule-flip groups with every pair's label right."""
    return _ratio(counts[..., _FLIP_RIGHT], counts[..., _FLIP_GROUPS])


def flip_groups(counts: Floats) -> Floats:
    """Number of rule-flip groups."""
    return np.asarray(counts[..., _FLIP_GROUPS])


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    result = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) > 0)
    return result


METRICS: Final[dict[str, Callable[[Floats], Floats]]] = {
    "Accuracy4": accuracy4,
    "Accuracy2": accuracy2,
    "MacroF1": macro_f1,
    "RuleFlip": rule_flip,
    "ParseRate": parse_rate,
}
"""The metrics without a label, by the name a gate uses. `F1` needs one: see `metric`."""


def metric(name: str, label: str | None = None) -> Callable[[Floats], Floats]:
    """The function of a gate's metric. KeyError or ValueError for one that does not exist."""
    if name == "F1":
        column = LABELS.index(label or "")
        return lambda counts: f1_by_class(counts)[..., column]
    return METRICS[name]
