"""A teacher's temperature, fitted to gold labels of the calibration split."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.prompts.contract import Calibration
from lore_core.records import LABELS, Pair
from lore_core.scoring.scores import calibrated
from lore_core.training.teaching import Judge
from lore_core.training.together import Ranks, gathered

_LEAST: Final = 1e-12
_SOFTEST, _SHARPEST = 1 / 20.0, 20.0
"""Ends of 1/temperature, between which the likelihood's maximum is looked for."""
_HALVINGS: Final = 60
_AT_ONCE: Final = 64


def fitted_temperature(probabilities: npt.NDArray[np.float64], gold: Sequence[int]) -> float:
    """The temperature at which n×4 probabilities make n gold labels 0..3 likeliest (Guo et al., arXiv 1706.04599).

    1 where the likelihood grows without end, as it does where every pair is right: nothing then tells how sure is too sure.
    """
    logits = np.log(np.maximum(probabilities, _LEAST))
    at_gold = logits[np.arange(len(gold)), gold]

    def still_rising(inverse: float) -> bool:
        # The log-likelihood is concave in 1/temperature, so its slope has one zero at most.
        scaled = np.exp(inverse * (logits - logits.max(axis=1, keepdims=True)))
        shares = scaled / scaled.sum(axis=1, keepdims=True)
        return bool((at_gold - (shares * logits).sum(axis=1)).mean() > 0)

    low, high = _SOFTEST, _SHARPEST
    if still_rising(high):
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if still_rising(middle) else (low, middle)
    return 1 / low


def calibration_of(judge: Judge, pairs: Sequence[Pair], ranks: Ranks) -> Calibration:
    """The calibration that fits a teacher to its calibration pairs. Collective: each rank asks about its share."""
    mine = pairs[ranks.rank :: ranks.world]
    found = [judge(mine[first : first + _AT_ONCE]) for first in range(0, len(mine), _AT_ONCE)]
    probabilities = np.zeros((len(pairs), len(LABELS)))
    for rank, part in enumerate(gathered(np.concatenate([np.zeros((0, len(LABELS))), *found]), ranks)):
        probabilities[rank :: ranks.world] = part
    gold = [LABELS.index(pair.groundtruth) for pair in pairs]
    return Calibration(temperature=f"{fitted_temperature(probabilities, gold):.4f}")


def tempered(judge: Judge, calibration: Calibration) -> Judge:
    """The judge at that temperature."""

    def at_temperature(pairs: Sequence[Pair]) -> Any:
        return calibrated(judge(pairs), calibration)

    return at_temperature
