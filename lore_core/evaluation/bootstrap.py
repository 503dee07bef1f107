"""Cluster bootstrap over queries.

Pairs of one query share what makes them hard, so whole queries are drawn, with replacement (Cameron, Gelbach & Miller,
"Bootstrap-based improvements for inference with clustered errors", 2008). Per-query counts times a matrix of draws give every
resample's counts at once. Both models' counts stand side by side in one matrix, so each resample draws the same queries
for both, and the interval is that of the difference.

Draws depend on the seed and the counts alone, never on the order of the queries. Counts are whole numbers and their sums
stay below 2^53, so the result is bit for bit the same whatever the order of summation or the shards.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from lore_core.evaluation.metrics import Floats, Integers

_CHUNK_CELLS: Final = 2_000_000
_KIND_COST: Final = 16
"""A multinomial number costs about as much as drawing this many queries."""
_DENSE_CELLS: Final = 12
"""A cell that is looked up costs about as much as this many cells of a matrix product."""
_DEFINED_SHARE: Final = 0.95
_NORMAL: Final = NormalDist()


@dataclass(frozen=True)
class Interval:
    """Two one-sided bounds, each at the same confidence."""

    low: float
    high: float


def resample_sums(counts: Floats, resamples: int, seed: int) -> Floats:
    """Counts of each resample: (queries, columns) -> (resamples, columns). Memory is bounded whatever the sizes.

    Queries with equal counts are drawn as one kind. Where there are few kinds, how often each is drawn is one multinomial
    number a kind; where there are many, drawing the queries one by one costs less. Both are the same distribution.
    """
    queries, columns = counts.shape
    used = np.flatnonzero(counts.any(axis=0))
    kinds, members = kinds_of(counts[:, used].astype(np.int64))
    generator = np.random.Generator(np.random.PCG64(seed))
    draw = _one_by_one if len(kinds) * _KIND_COST > queries else _by_kind
    sums, step = np.zeros((resamples, columns)), max(1, _CHUNK_CELLS // max(len(kinds), 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = draw(generator, members, rows)
        sums[start : start + rows, used] = weighted(drawn, kinds)
    return sums


def kinds_of(counts: Integers) -> tuple[Integers, Integers]:
    """The different rows, in an order that depends on them alone, and how often each occurs.

    Rows are told apart by a 64-bit hash, many times faster than by sorting whole rows, and compared once to be sure.
    """
    factors = np.random.default_rng(0).integers(1, 2**63, size=counts.shape[1], dtype=np.uint64)
    hashes = counts.astype(np.uint64) @ factors
    _, first, kind, members = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    kinds = counts[first]
    if not np.array_equal(kinds[kind], counts):
        kinds, members = np.unique(counts, axis=0, return_counts=True)
    return kinds, members


def weighted(drawn: Integers, kinds: Integers) -> Floats:
    """`drawn` @ `kinds`, over the cells of `kinds` that are not zero where those are few."""
    kind, column = np.nonzero(kinds)
    if kinds.size < _DENSE_CELLS * len(kind):
        return np.asarray(drawn.astype(np.float64) @ kinds.astype(np.float64))
    worth = kinds[kind, column].astype(np.float64)
    return np.stack([np.bincount(column, row[kind] * worth, kinds.shape[1]) for row in drawn])


def _by_kind(generator: np.random.Generator, members: Integers, rows: int) -> Integers:
    queries = int(members.sum())
    return np.asarray(generator.multinomial(queries, members / max(queries, 1), size=rows))


def _one_by_one(generator: np.random.Generator, members: Integers, rows: int) -> Integers:
    kind = np.repeat(np.arange(len(members)), members)
    chosen = (kind[generator.integers(0, len(kind), size=len(kind))] for _ in range(rows))
    return np.stack([np.bincount(row, minlength=len(members)) for row in chosen])


def interval(values: Floats, queries: int, confidence: float) -> Interval | None:
    """Expanded percentile interval of a statistic's resampled values, shape (resamples,).

    Each end is a one-sided bound at `confidence`. The plain percentile interval is too narrow for few clusters; the tail
    is widened as in Hesterberg, "What Teachers Should Know About the Bootstrap" (2015), section 4.4. None with fewer than
    two queries or where more than 5 % of the resamples leave the statistic undefined.
    """
    defined = values[~np.isnan(values)]
    if queries < 2 or defined.size < _DEFINED_SHARE * values.size:
        return None
    tail = _expanded_tail(queries, confidence)
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(float(low), float(high))


def deviation(values: Floats) -> float | None:
    """Standard error: the spread of the resampled values; None where they are undefined."""
    defined = values[~np.isnan(values)]
    return float(defined.std(ddof=1)) if defined.size >= 2 else None


def _expanded_tail(queries: int, confidence: float) -> float:
    stretch = math.sqrt(queries / (queries - 1))
    return _NORMAL.cdf(-stretch * student_quantile(confidence, queries - 1))


def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t by its expansion around the normal (Abramowitz & Stegun 26.7.5)."""
    z = _NORMAL.inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum([z, *(term / float(degrees) ** power for power, term in enumerate(terms, start=1))])
