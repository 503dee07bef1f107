"""What is known of an answer beside its label: probabilities, tokens, time."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lore_core.evaluation.metrics import LABELS, UNPARSABLE, Floats, Labels

SAMPLED_COLUMNS: Final = 5


@dataclass(frozen=True)
class Measured:
    """N answers. `probabilities` of L1..L4 is N×4; tokens and milliseconds are of shape (N,). NaN where unknown.

    `sampled` is N×SAMPLED_COLUMNS, whole numbers (sampling.py); None where nothing was sampled.
    """

    probabilities: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    latency_ms: Floats
    sampled: Floats | None = None

    @staticmethod
    def unknown(size: int) -> "Measured":
        """Nothing known of `size` answers."""
        gap = np.full(size, np.nan)
        return Measured(np.full((size, len(LABELS)), np.nan), gap, gap, gap)

    def take(self, rows: NDArray[Any]) -> "Measured":
        """The chosen rows."""
        return Measured(
            self.probabilities[rows],
            self.prompt_tokens[rows],
            self.output_tokens[rows],
            self.latency_ms[rows],
            None if self.sampled is None else self.sampled[rows],
        )

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which answers have probabilities."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))


def sorting_score(gold: Labels, answer: Labels, measured: Measured) -> Floats:
    """What each pair is sorted by, shape (N,): the expected grade, or the answered grade where there are no probabilities.

    An unparsable answer is put where it hurts: an irrelevant item above everything, a relevant one below. Rounded to
    twelve decimals, so that equal probabilities are ties whatever the order of the sums.
    """
    first, second, third, fourth = measured.probabilities.T
    expected = np.round(first + 2.0 * second + 3.0 * third + 4.0 * fourth, 12)
    known = np.where(measured.scored, expected, answer + 1.0)
    return np.where(answer == UNPARSABLE, np.where(gold >= 2, -np.inf, np.inf), known)
