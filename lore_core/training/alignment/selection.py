"""Which pairs reinforcement learns from: neither solved nor hopeless, doubtful first, labels balanced.

The window on the share of right rollouts and the balance of labels follow TaoSR1 (arXiv 2508.12365) and DyKnow-RAG
(arXiv 2510.11122): the coefficient of variation of the label counts goes with worse models, and rows below 0.7 confidence are
where half of the errors are.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from lore_core.records import Label

LOW_CONFIDENCE: Final = 0.7


@dataclass(frozen=True, slots=True)
class Window:
    """Bounds on the share of a prompt's rollouts that are right; both ends belong to it."""

    least: float = 0.01
    most: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most <= 1:
            raise ValueError(f"window: {self.least} to {self.most} is no part of 0 to 1")

    def holds(self, right: int, group: int) -> bool:
        """Whether a group of rollouts can teach anything: all right or all wrong has no advantage to learn from."""
        return 0 < right < group and self.least <= right / group <= self.most


def low_confidence(probabilities: npt.NDArray[np.float64], limit: int, below: float = LOW_CONFIDENCE) -> list[int]:
    """Rows whose largest of four probabilities is below the bound, least sure first, at most `limit`; ties by row."""
    top = probabilities.max(axis=1)
    rows = np.flatnonzero(top < below)
    return [int(row) for row in rows[np.argsort(top[rows], kind="stable")][:limit]]


def variation(labels: Sequence[Label]) -> float:
    """Coefficient of variation of the four label counts: 0 for equal counts, √3 for a single label."""
    counts = Counter(labels)
    values = np.array([counts[label] for label in Label], dtype=float)
    return float(values.std() / values.mean()) if labels else 0.0


def balanced(labels: Sequence[Label], most: float) -> list[int]:
    """Rows to keep, in order, so that the variation is at most `most`: the commonest label loses its last rows first.

    The caller orders rows by worth. A label that does not occur at all cannot be balanced and is left out of the count.
    """
    rows: dict[Label, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    while rows and _spread([len(kept) for kept in rows.values()]) > most:
        max(rows.values(), key=len).pop()
    return sorted(row for kept in rows.values() for row in kept)


def _spread(counts: Sequence[int]) -> float:
    values = np.array(counts, dtype=float)
    return float(values.std() / values.mean())
