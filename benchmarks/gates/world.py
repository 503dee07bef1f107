"""Drawn evaluations whose true regression is known exactly.

Champion and candidate answer the same pairs. Each query has a chance of its own that the champion is right, that the candidate
loses a right answer, and that it gains a wrong one; the chances are beta-distributed with the wanted mean, so pairs of one
query are correlated. A wrong answer is the label two grades away. The expected confusion, and so the true value of every
metric, follows from the means alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import LABELS, Floats
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.table import PairTable

PAIRS: Final = 10
RIGHT: Final = 0.8
GAINED: Final = 0.1
EVEN: Final = (0.25, 0.25, 0.25, 0.25)
RARE: Final = (0.02, 0.98 / 3, 0.98 / 3, 0.98 / 3)
_RESAMPLES: Final = 400


@dataclass(frozen=True)
class World:
    """`gold` are the shares of the labels, `lost` the chance, by label, that a right answer of the champion is lost."""

    queries: int
    correlation: float
    gold: tuple[float, ...]
    lost: tuple[float, ...]

    def draw(self, seed: int) -> Slice:
        """One evaluation; equal seeds draw equal ones."""
        generator = np.random.default_rng(seed)
        query = np.repeat(np.arange(self.queries), PAIRS)
        gold = generator.choice(len(LABELS), len(query), p=self.gold)
        before = generator.random(len(query)) < self._by_query(generator, RIGHT)[query]
        gained = self._by_query(generator, GAINED)[query]
        lost = np.stack([self._by_query(generator, chance)[query] for chance in self.lost])[gold, np.arange(len(query))]
        chance = generator.random(len(query))
        after = np.where(before, chance >= lost, chance < gained)
        return Slice(_table(gold, after, query), _table(gold, before, query), _RESAMPLES, seed)

    def _by_query(self, generator: np.random.Generator, mean: float) -> Floats:
        if self.correlation == 0.0 or not 0.0 < mean < 1.0:
            return np.full(self.queries, mean)
        strength = (1.0 - self.correlation) / self.correlation
        return generator.beta(mean * strength, (1.0 - mean) * strength, self.queries)


def _table(gold: np.ndarray, right: np.ndarray, query: np.ndarray) -> PairTable:
    size = len(gold)
    ids, answer = _ids(size), np.where(right, gold, (gold + 2) % 4)
    return PairTable(
        ids,
        query,
        int(query[-1]) + 1,
        gold.astype(np.int8),
        answer.astype(np.int8),
        np.full(size, -1),
        {},
        Measured.unknown(size),
    )


@lru_cache(maxsize=1)
def _ids(size: int) -> tuple[str, ...]:
    return tuple(f"{row:06d}" for row in range(size))


def steady(gained: float = GAINED) -> float:
    """The loss that the gains make up for exactly."""
    return gained * (1.0 - RIGHT) / RIGHT


def expected_counts(gold: tuple[float, ...], right: tuple[float, ...]) -> Floats:
    """Expected confusion counts, in the columns of metrics.py, where each label is answered right in these shares."""
    counts = np.zeros((len(LABELS), len(LABELS) + 1))
    for label, (share, hit) in enumerate(zip(gold, right, strict=True)):
        counts[label, label] = share * hit
        counts[label, (label + 2) % 4] = share * (1.0 - hit)
    return np.concatenate([counts.ravel() * 1e6, [0.0, 0.0]])


def regression(metric: Callable[[Floats], Floats], gold: tuple[float, ...], lost: tuple[float, ...]) -> float:
    """The true regression of a metric, champion minus candidate."""
    after = tuple(RIGHT * (1.0 - chance) + (1.0 - RIGHT) * GAINED for chance in lost)
    before = expected_counts(gold, (RIGHT,) * len(LABELS))
    return float(metric(before) - metric(expected_counts(gold, after)))


def losses_for(
    metric: Callable[[Floats], Floats], gold: tuple[float, ...], wanted: float, labels: tuple[int, ...]
) -> tuple[float, ...]:
    """Losses in these labels, none beyond the steady ones elsewhere, that make the true regression exactly `wanted`."""
    low, high = steady(), 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        lost = tuple(middle if label in labels else steady() for label in range(len(LABELS)))
        low, high = (middle, high) if regression(metric, gold, lost) < wanted else (low, middle)
    return lost
