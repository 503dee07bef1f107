"""Ranking within a query: nDCG, AUC, and inversions between items that different tiers scored.

Each query's value is kept in millionths, so that sums over queries are exact. A metric is the mean over the queries
that have it: nDCG needs two different gold labels, AUC a relevant and an irrelevant item. Ties are averaged over their
orders, as scikit-learn does it (McSherry & Najork, ECIR 2008).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lore_core.evaluation.metrics import Floats, Integers, Labels, ratio

CUTOFFS: Final = (5, 10)
_MILLION: Final = 1_000_000
_SPREAD, _AUC, _MIXED, _INVERTED, _CLEAR = range(len(CUTOFFS), len(CUTOFFS) + 5)
COLUMNS: Final = len(CUTOFFS) + 5


def ranking_counts(gold: Labels, score: Floats, query: Integers, queries: int, tier: Integers | None = None) -> Floats:
    """Counts of each query, shape (queries, COLUMNS); all inputs of shape (N,), a higher score ranks first.

    `tier` is who scored the pair, -1 where unknown; without it there are no inversions to count.
    """
    counts = np.zeros((queries, COLUMNS))
    relevant = np.bincount(query, weights=gold >= 2, minlength=queries)
    size = np.bincount(query, minlength=queries)
    counts[:, _SPREAD] = _spread(gold, query, queries)
    counts[:, _MIXED] = (relevant > 0) & (relevant < size)
    for column, cutoff in enumerate(CUTOFFS):
        counts[:, column] = _millionths(ndcg(gold, score, query, queries, cutoff), counts[:, _SPREAD])
    counts[:, _AUC] = _millionths(auc(gold >= 2, score, query, queries), counts[:, _MIXED])
    if tier is not None:
        counts[:, _INVERTED], counts[:, _CLEAR] = inversions(gold, score, query, queries, tier)
    return counts


def _spread(gold: Labels, query: Integers, queries: int) -> Floats:
    low, high = np.full(queries, 9), np.full(queries, -1)
    np.minimum.at(low, query, gold)
    np.maximum.at(high, query, gold)
    return np.asarray(high > low, dtype=np.float64)


def _millionths(values: Floats, counted: Floats) -> Floats:
    return np.where(counted > 0, np.round(np.nan_to_num(values) * _MILLION), 0.0)


def ndcg(gold: Labels, score: Floats, query: Integers, queries: int, cutoff: int) -> Floats:
    """nDCG@cutoff of each query, gains 2^grade - 1 with L1 as grade 0 (Burges et al., ICML 2005); NaN without any gain."""
    gain = 2.0 ** gold.astype(np.float64) - 1.0
    found = _dcg(gain, score, query, queries, cutoff)
    return ratio(found, _dcg(gain, gain, query, queries, cutoff))


def _dcg(gain: Floats, score: Floats, query: Integers, queries: int, cutoff: int) -> Floats:
    """Each group of tied items shares the mean gain over the discounts of its places."""
    order = np.lexsort((-score, query))
    rank = _rank(query[order], queries)
    discount = np.where(rank < cutoff, 1.0 / np.log2(rank + 2.0), 0.0)
    group = _groups(query[order], score[order])
    shared = np.bincount(group, weights=gain[order]) * np.bincount(group, weights=discount) / np.bincount(group)
    return np.asarray(np.bincount(query[order][_first(group)], weights=shared, minlength=queries), dtype=np.float64)


def auc(relevant: NDArray[np.bool_], score: Floats, query: Integers, queries: int) -> Floats:
    """Area under the ROC curve of each query by rank sums, ties half (Hanley & McNeil, 1982); NaN with one class."""
    order = np.lexsort((score, query))
    group = _groups(query[order], score[order])
    rank = _rank(query[order], queries) + 1.0
    middle = (np.bincount(group, weights=rank) / np.maximum(np.bincount(group), 1))[group]
    chosen = relevant[order].astype(np.float64)
    positive = np.bincount(query[order], weights=chosen, minlength=queries)
    sums = np.bincount(query[order], weights=chosen * middle, minlength=queries)
    negative = np.bincount(query, minlength=queries) - positive
    return ratio(sums - positive * (positive + 1.0) / 2.0, positive * negative)


def _rank(query: Integers, queries: int) -> Integers:
    """Place within its query, from 0; `query` is sorted."""
    size = np.bincount(query, minlength=queries)
    return np.asarray(np.arange(len(query)) - np.repeat(np.cumsum(size) - size, size))


def _groups(query: Integers, score: Floats) -> Integers:
    """Numbers runs of one query and one score."""
    if not len(query):
        return np.zeros(0, dtype=np.int64)
    new = (query[1:] != query[:-1]) | (score[1:] != score[:-1])
    return np.concatenate([[0], np.cumsum(new)])


def _first(group: Integers) -> Integers:
    return np.flatnonzero(np.diff(group, prepend=-1))


def inversions(gold: Labels, score: Floats, query: Integers, queries: int, tier: Integers) -> tuple[Floats, Floats]:
    """Clear pairs of items whose order is wrong (ties half), and clear pairs, of each query.

    A pair is clear where gold differs by a grade or more and two different known tiers scored the two items, as when cached
    and fresh scores are sorted together.
    """
    wrong, clear = np.zeros(queries), np.zeros(queries)
    order = np.argsort(query, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(query[order])) + 1) if len(order) else []:
        across = (tier[rows, None] != tier[rows]) & (tier[rows, None] >= 0) & (tier[rows] >= 0)
        better = across & (gold[rows, None] > gold[rows])
        lower, equal = score[rows, None] < score[rows], score[rows, None] == score[rows]
        wrong[query[rows[0]]] = (better & lower).sum() + (better & equal).sum() / 2.0
        clear[query[rows[0]]] = better.sum()
    return wrong, clear


def mean_ndcg(counts: Floats, cutoff: int) -> Floats:
    """Mean nDCG@cutoff over the queries with two different gold labels; `cutoff` is one of CUTOFFS."""
    return ratio(counts[..., CUTOFFS.index(cutoff)] / _MILLION, counts[..., _SPREAD])


def mean_auc(counts: Floats) -> Floats:
    """Mean over the queries with relevant and irrelevant items."""
    return ratio(counts[..., _AUC] / _MILLION, counts[..., _MIXED])


def inversion_rate(counts: Floats) -> Floats:
    """Share of clear pairs across tiers whose order is wrong."""
    return ratio(counts[..., _INVERTED], counts[..., _CLEAR])
