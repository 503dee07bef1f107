"""Calibration and tiers from label probabilities, as whole-number counts that add up over queries.

Confidence is the largest of the four probabilities, kept in millionths so that every sum is exact. An answer that cannot
be parsed, or that has no probabilities beside answers that do, counts as it hurts: fully confident and wrong in the
calibration error, and not confident in the low-confidence share.
"""

from typing import Final

import numpy as np

from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import UNPARSABLE, Floats, Integers, Labels, ratio

BINS: Final = 10
LOW: Final = 0.7
"""Below this confidence about half of the answers are wrong (DyKnow-RAG, arXiv 2510.11122)."""
TIER_MASS: Final = 0.5
"""CumPT's one parameter: the cumulated probability that lifts an item into a tier (TaoSR1, arXiv 2508.12365)."""
TIERS: Final = ("Good", "Mid", "Bad")

_MILLION: Final = 1_000_000
_UNREADABLE, _LOW, _LOW_WRONG, _SCORED = range(3 * BINS, 3 * BINS + 4)
COLUMNS: Final = 3 * BINS + 4
TIER_COLUMNS: Final = len(TIERS) ** 2
_TIER_OF_LABEL: Final = np.array([2, 1, 0, 0])
_FARTHEST_TIER: Final = np.array([2, 2, 0])


def confidence_counts(gold: Labels, answer: Labels, measured: Measured, query: Integers, queries: int) -> Floats:
    """Counts of each query, shape (queries, COLUMNS): pairs, confidence and right answers a bin, then the rest."""
    counts, scored = np.zeros((queries, COLUMNS)), measured.scored
    confidence = np.where(scored, measured.probabilities.max(axis=1, initial=-np.inf), 0.0)
    right, rows = gold == answer, np.flatnonzero(scored)
    place = np.searchsorted(np.linspace(0.0, 1.0, BINS + 1)[1:-1], confidence[rows])
    np.add.at(counts, (query[rows], place), 1.0)
    np.add.at(counts, (query[rows], BINS + place), np.round(confidence[rows] * _MILLION))
    np.add.at(counts, (query[rows], 2 * BINS + place), right[rows].astype(np.float64))
    low = (confidence < LOW) | (answer == UNPARSABLE)
    for column, chosen in ((_UNREADABLE, ~scored), (_LOW, low), (_LOW_WRONG, low & ~right), (_SCORED, scored)):
        counts[:, column] = np.bincount(query[chosen], minlength=queries)
    return counts


def reliability(counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Pairs, mean confidence and share right of each bin, shape (..., BINS) each; NaN in empty bins."""
    size, sums, right = counts[..., :BINS], counts[..., BINS : 2 * BINS], counts[..., 2 * BINS : 3 * BINS]
    return size, ratio(sums / _MILLION, size), ratio(right, size)


def calibration_error(counts: Floats) -> Floats:
    """Expected calibration error over ten equal bins (Naeini et al., AAAI 2015); NaN where no answer has probabilities."""
    size, confidence, right = reliability(counts)
    gap = np.nan_to_num(np.abs(confidence - right) * size).sum(axis=-1) + counts[..., _UNREADABLE]
    return _where_scored(counts, ratio(gap, _pairs(counts)))


def low_confidence(counts: Floats) -> Floats:
    """Share of pairs with a confidence below LOW."""
    return _where_scored(counts, ratio(counts[..., _LOW], _pairs(counts)))


def low_confidence_error(counts: Floats) -> Floats:
    """Share of wrong answers among those with a confidence below LOW."""
    return _where_scored(counts, ratio(counts[..., _LOW_WRONG], counts[..., _LOW]))


def _pairs(counts: Floats) -> Floats:
    return np.asarray(counts[..., _SCORED] + counts[..., _UNREADABLE])


def _where_scored(counts: Floats, values: Floats) -> Floats:
    return np.where(counts[..., _SCORED] > 0, values, np.nan)


def cumpt_tiers(probabilities: Floats, mass: float = TIER_MASS) -> Integers:
    """CumPT: index into TIERS, shape (N,), from N×4 probabilities of L1..L4.

    Good where P(L4) + P(L3) reach `mass`, Mid where P(L4) + P(L3) + P(L2) do, else Bad (TaoSR1, arXiv 2508.12365).
    """
    relevant = probabilities[:, 3] + probabilities[:, 2]
    return np.where(relevant >= mass, 0, np.where(relevant + probabilities[:, 1] >= mass, 1, 2))


def tier_counts(gold: Labels, answer: Labels, measured: Measured, query: Integers, queries: int) -> Floats:
    """Gold tier against tier of each query, shape (queries, TIER_COLUMNS). Without probabilities the label's tier is taken."""
    wanted = _TIER_OF_LABEL[gold]
    by_label = np.where(answer == UNPARSABLE, _FARTHEST_TIER[wanted], _TIER_OF_LABEL[answer])
    usable = measured.scored & (answer != UNPARSABLE)
    found = np.where(usable, cumpt_tiers(np.nan_to_num(measured.probabilities)), by_label)
    cell = query * TIER_COLUMNS + wanted * len(TIERS) + found
    return np.bincount(cell, minlength=queries * TIER_COLUMNS).reshape(queries, TIER_COLUMNS).astype(np.float64)


def tier_confusion(counts: Floats) -> Floats:
    """Gold tier (rows) against tier (columns), shape (..., 3, 3), in the order of TIERS."""
    return counts.reshape(*counts.shape[:-1], len(TIERS), len(TIERS))


def tier_macro_f1(counts: Floats) -> Floats:
    """Mean F1 of the tiers that occur in gold; L3 and L4 belong to Good, L2 to Mid, L1 to Bad."""
    table = tier_confusion(counts)
    right, gold = np.diagonal(table, axis1=-2, axis2=-1), table.sum(axis=-1)
    by_tier = np.nan_to_num(ratio(2.0 * right, gold + table.sum(axis=-2)))
    return ratio(np.where(gold > 0, by_tier, 0.0).sum(axis=-1), (gold > 0).sum(axis=-1))
