"""Cluster bootstrap over queries.

Pairs of one query share what makes them hard, so whole queries are drawn, with replacement (Cameron, Gelbach & Miller,
"Bootstrap-based improvements for inference with clustered errors", 2008). A matrix of draws times per-query counts gives every
resample's counts at once. Both models' counts stand side by side in one matrix, so each resample draws the same queries
for both, and the interval is that of the difference.

Draws depend on the seed and the number of queries alone, and tables number their queries by their text. Counts are whole
numbers and their sums stay below 2^53, so the result is bit for bit the same whatever the order of the pairs or the shards.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lore_core.evaluation.metrics import Floats

Multiplicities = NDArray[np.uint8]

_CHUNK_CELLS: Final = 2_000_000
_CACHED_CELLS: Final = 16_384
"""Cells that are counted at once: so few that they stay in a processor's cache."""
_KEPT_CELLS: Final = 64_000_000
_EXACT_FLOAT32: Final = 2.0**24
_DEFINED_SHARE: Final = 0.95
_NORMAL: Final = NormalDist()


@dataclass(frozen=True)
class Interval:
    """Two one-sided bounds, each at the same confidence."""

    low: float
    high: float


def resample_sums(counts: Floats, resamples: int, seed: int) -> Floats:
    """Counts of each resample: (queries, columns) -> (resamples, columns). Memory is bounded whatever the sizes.

    Columns whose sums fit the 24 bits of a float32 are multiplied as such, at half the cost; both are exact.
    """
    queries, columns = counts.shape
    most = np.abs(counts).max(axis=0, initial=0.0) * queries
    parts: list[tuple[Any, NDArray[np.int64], NDArray[Any]]] = [
        (kind, chosen, counts[:, chosen].astype(kind))
        for kind, fits in ((np.float32, most < _EXACT_FLOAT32), (np.float64, most >= _EXACT_FLOAT32))
        if len(chosen := np.flatnonzero(fits & (most > 0)))
    ]
    sums, start = np.zeros((resamples, columns)), 0
    for block in draws(queries, resamples, seed):
        for kind, chosen, part in parts:
            sums[start : start + len(block), chosen] = block.astype(kind) @ part
        start += len(block)
    return sums


def draws(queries: int, resamples: int, seed: int) -> Iterable[Multiplicities]:
    """How often each query is drawn in each resample, as blocks of shape (rows, queries) whose rows add up to `queries`.

    All metrics of a slice ask for the same draws one after another, so the latest ones are kept where they are not too many.
    """
    keep = queries * resamples <= _KEPT_CELLS
    return _kept(queries, resamples, seed) if keep else _blocks(queries, resamples, seed)


@lru_cache(maxsize=1)
def _kept(queries: int, resamples: int, seed: int) -> tuple[Multiplicities, ...]:
    return tuple(_blocks(queries, resamples, seed))


def _blocks(queries: int, resamples: int, seed: int) -> Iterator[Multiplicities]:
    generator = np.random.Generator(np.random.PCG64(seed))
    step = max(1, _CHUNK_CELLS // max(queries, 1))
    for start in range(0, resamples, step):
        # One byte a cell: a query that is drawn more than 255 times has a probability below 1e-300.
        block = np.zeros((min(step, resamples - start), queries), dtype=np.uint8)
        few = max(1, _CACHED_CELLS // max(queries, 1))
        for first in range(0, len(block) if queries else 0, few):
            _draw(generator, block[first : first + few])
        yield block


def _draw(generator: np.random.Generator, rows: Multiplicities) -> None:
    """Fill rows: one call for several of them, and the same numbers as one call each."""
    count, queries = rows.shape
    drawn = generator.integers(0, queries, rows.shape, dtype=np.uint32) + np.arange(count)[:, None] * queries
    rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)


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
