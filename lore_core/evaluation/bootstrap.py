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

from lore_core.evaluation.metrics import Floats

_CHUNK_CELLS: Final = 2_000_000
_DEFINED_SHARE: Final = 0.95
_NORMAL: Final = NormalDist()


@dataclass(frozen=True)
class Interval:
    """Two one-sided bounds, each at the same confidence."""

    low: float
    high: float


def resample_sums(counts: Floats, resamples: int, seed: int) -> Floats:
    """Counts of each resample: (queries, columns) -> (resamples, columns). Memory is bounded whatever the sizes.

    Queries with equal counts are drawn as one kind: how often each kind is drawn is multinomial, so the work grows with the
    number of kinds, which is small where queries have few pairs.
    """
    queries, columns = counts.shape
    used = np.flatnonzero(counts.any(axis=0))
    kinds, members = np.unique(counts[:, used].astype(np.int32), axis=0, return_counts=True)
    generator = np.random.Generator(np.random.PCG64(seed))
    sums, step = np.zeros((resamples, columns)), max(1, _CHUNK_CELLS // max(len(kinds), 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.multinomial(queries, members / max(queries, 1), size=rows)
        sums[start : start + rows, used] = drawn.astype(np.float64) @ kinds.astype(np.float64)
    return sums


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
