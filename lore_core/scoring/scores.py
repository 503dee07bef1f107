"""Label scores: what every scorer returns and every metric, gate and cache is computed from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from lore_core.prompts.contract import Calibration

LABEL_COUNT: Final = 4
# Below this the four labels together are numerically nothing and their shares would be noise.
_LEAST_MASS: Final = 1e-12

Array = npt.NDArray[np.float64]
_Softmax = tuple[tuple[float, float, float, float], float]
_NO_SCORE: Final[_Softmax] = ((math.nan, math.nan, math.nan, math.nan), math.nan)


class LabelScore(NamedTuple):
    """One pair: four probabilities in the order L1 L2 L3 L4, the mass outside them, the generated trace if any.

    `output_tokens` counts what was generated before the label, `seconds` how long the server took.
    """

    probabilities: tuple[float, float, float, float]
    outside: float = 0.0
    trace: str = ""
    output_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LabelScores:
    """n pairs: `probabilities` is n×4 (rows sum to 1, order L1 L2 L3 L4), `outside` n, `traces` n."""

    probabilities: Array
    outside: Array
    traces: tuple[str, ...]

    def __post_init__(self) -> None:
        rows = len(self.traces)
        if self.probabilities.shape != (rows, LABEL_COUNT) or self.outside.shape != (rows,):
            raise ValueError(f"scores of {rows} pairs need shapes ({rows}, 4) and ({rows},)")

    @classmethod
    def of(cls, scores: Sequence[LabelScore]) -> "LabelScores":
        """Stack single scores."""
        table = np.array([score.probabilities for score in scores], dtype=np.float64).reshape(-1, LABEL_COUNT)
        outside = np.array([score.outside for score in scores], dtype=np.float64)
        return cls(table, outside, tuple(score.trace for score in scores))

    def __len__(self) -> int:
        return len(self.traces)


def label_softmax(logprobs: Sequence[float | None]) -> _Softmax:
    """Four-way softmax of the labels' log-probabilities, and the mass outside them (TaoSR1, arXiv 2508.12365).

    All NaN where one of them is no number (None, NaN, infinite): a score that nobody may take for one.
    """
    raw = np.array([math.nan if value is None else value for value in logprobs], dtype=np.float64)
    if raw.shape != (LABEL_COUNT,) or np.isneginf(raw).all():
        raise ValueError(f"four label log-probabilities are needed, got {list(logprobs)}")
    if np.isnan(raw).any() or np.isposinf(raw).any():
        return _NO_SCORE
    shifted = np.exp(raw - raw.max())
    first, second, third, fourth = (float(value) for value in shifted / shifted.sum())
    return (first, second, third, fourth), max(0.0, 1.0 - float(np.exp(raw).sum()))


def calibrated(probabilities: Array, calibration: Calibration) -> Array:
    """n×4 probabilities at the contract's temperature."""
    logits = np.log(np.maximum(probabilities, _LEAST_MASS)) / float(calibration.temperature)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return scaled


def expected_grade(probabilities: Array, calibration: Calibration) -> Array:
    """One number a pair for sorting: the mean of the label grades under the calibrated probabilities."""
    grades = np.array([float(grade) for grade in calibration.grades])
    expected: Array = calibrated(probabilities, calibration) @ grades
    return expected
