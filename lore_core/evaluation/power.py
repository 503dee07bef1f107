"""What a regression gate could have seen: design effect, least standard error, power, minimum detectable regression."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lore_core.evaluation.metrics import LABELS, Floats, accuracy2, samples
from lore_core.evaluation.table import PairTable

_NORMAL: Final = NormalDist()
_TARGET_POWER: Final = 0.8
LOW_POWER: Final = 0.5


def design_effect(counts: Floats) -> float:
    """How much more the Accuracy@2 of clustered pairs varies than that of independent ones; at least 1.

    `counts` are by query, shape (queries, columns). Kish, Survey Sampling (1965): the variance of the ratio estimate over
    clusters against the binomial one.
    """
    size, share = samples(counts), float(accuracy2(counts.sum(axis=0)))
    pairs, queries = float(size.sum()), len(counts)
    if queries < 2 or not 0.0 < share < 1.0:
        return 1.0
    residual = np.nan_to_num(accuracy2(counts)) * size - share * size
    clustered = queries / (queries - 1) * float((residual**2).sum()) / pairs**2
    return max(1.0, clustered * pairs / (share * (1.0 - share)))


@dataclass(frozen=True)
class Carriers:
    """Units that carry a metric: their weight in it, how many there are, how many the candidate lost and gained."""

    weight: float
    size: int
    lost: int
    gained: int


def carriers(candidate: PairTable, champion: PairTable, metric: str, label: str | None) -> list[Carriers]:
    """One group for most metrics; for Macro-F1 one a class, since it can lose all of a regression in one of them."""
    right, before = _right(candidate, metric), _right(champion, metric)
    if metric == "RuleFlip":
        return [_carriers(1.0, _by_group(right, candidate.flip), _by_group(before, candidate.flip))]
    if metric in ("F1", "MacroF1"):
        classes = [LABELS.index(label)] if label else sorted(set(candidate.gold.tolist()))
        weight = 1.0 / max(len(classes), 1)
        return [_carriers(weight, right[candidate.gold == one], before[candidate.gold == one]) for one in classes]
    return [_carriers(1.0, right, before)]


def _right(table: PairTable, metric: str) -> NDArray[np.bool_]:
    if metric == "ParseRate":
        return np.asarray(table.answer >= 0)
    if metric == "Accuracy2":
        return np.asarray((table.answer >= 0) & ((table.answer >= 2) == (table.gold >= 2)))
    return np.asarray(table.answer == table.gold)


def _by_group(right: NDArray[np.bool_], group: NDArray[np.int64]) -> NDArray[np.bool_]:
    _, codes = np.unique(group, return_inverse=True)
    return np.asarray(np.bincount(codes, weights=right) == np.bincount(codes))


def _carriers(weight: float, right: NDArray[np.bool_], before: NDArray[np.bool_]) -> Carriers:
    return Carriers(weight, len(right), int((before & ~right).sum()), int((right & ~before).sum()))


def least_deviation(groups: Sequence[Carriers], effect: float, margin: float) -> float:
    """The smallest standard error of a regression that is believed, `effect` being the design effect.

    A sample may by chance show few units, or none, on which the two models differ, and its resamples then vary too little.
    The error is therefore also taken where it matters, at a true regression of exactly `margin`: the restricted maximum
    likelihood of the share gained given that the share lost is larger by the margin (Tango, Statistics in Medicine 17,
    1998), times the design effect.
    """
    return max((_restricted(group, effect, max(margin, 0.0)) for group in groups), default=math.inf)


def _restricted(group: Carriers, effect: float, margin: float) -> float:
    size, lost, gained = group.size, group.lost, group.gained
    if size == 0:
        return math.inf
    delta = min(margin / group.weight, 0.5)
    slope = (2 * size - lost + gained) * delta - lost - gained
    share = (math.sqrt(slope**2 + 8 * size * gained * delta * (1 - delta)) - slope) / (4 * size)
    return group.weight * math.sqrt((2 * share + delta * (1 - delta)) * effect / size)


def power(margin: float, deviation: float, confidence: float) -> float:
    """Chance that a model equal to the champion passes a gate on a regression of at most `margin`."""
    if deviation <= 0.0:
        return 1.0
    return _NORMAL.cdf(margin / deviation - _NORMAL.inv_cdf(confidence))


def minimum_detectable(deviation: float, confidence: float) -> float:
    """The smallest regression that is told from none at `confidence` in 80 % of evaluations like this one."""
    return (_NORMAL.inv_cdf(confidence) + _NORMAL.inv_cdf(_TARGET_POWER)) * deviation


def bound_reach(deviation: float, confidence: float) -> float:
    """How far a one-sided bound lies from its estimate under a standard error."""
    return _NORMAL.inv_cdf(confidence) * deviation
