"""What answers cost: tokens, and time as quantiles that can be resampled by query."""

from typing import Final

import numpy as np

from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import Floats, Integers, ratio

TOKEN_COLUMNS: Final = 3
_FASTEST_MS: Final = 0.1
_STEP: Final = 1.1
LATENCY_COLUMNS: Final = 168
"""Buckets of 10 %, from a tenth of a millisecond to a quarter of an hour: a quantile is exact within 5 %."""


def token_counts(measured: Measured, query: Integers, queries: int) -> Floats:
    """Pairs with known tokens, prompt tokens and generated tokens of each query, shape (queries, 3)."""
    known = np.isfinite(measured.prompt_tokens) & np.isfinite(measured.output_tokens)
    columns = (known.astype(np.float64), measured.prompt_tokens, measured.output_tokens)
    return np.stack([np.bincount(query[known], values[known], queries) for values in columns], axis=1)


def prompt_tokens(counts: Floats) -> Floats:
    """Mean tokens of a prompt."""
    return ratio(counts[..., 1], counts[..., 0])


def output_tokens(counts: Floats) -> Floats:
    """Mean tokens generated for an answer; a label that is only scored is none."""
    return ratio(counts[..., 2], counts[..., 0])


def latency_counts(measured: Measured, query: Integers, queries: int) -> Floats:
    """Histogram of each query's milliseconds, shape (queries, LATENCY_COLUMNS)."""
    known = np.isfinite(measured.latency_ms)
    bucket = np.log(np.maximum(measured.latency_ms[known], _FASTEST_MS) / _FASTEST_MS) / np.log(_STEP)
    cell = query[known] * LATENCY_COLUMNS + np.minimum(bucket.astype(np.int64), LATENCY_COLUMNS - 1)
    return np.bincount(cell, minlength=queries * LATENCY_COLUMNS).reshape(queries, -1).astype(np.float64)


def latency(counts: Floats, share: float) -> Floats:
    """Milliseconds within which `share` of the pairs were answered: the middle of the bucket that holds it."""
    reached, pairs = counts.cumsum(axis=-1), counts.sum(axis=-1)
    bucket = (reached >= np.ceil(share * pairs)[..., None]).argmax(axis=-1)
    return np.where(pairs > 0, _FASTEST_MS * _STEP ** (bucket + 0.5), np.nan)
