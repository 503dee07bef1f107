"""Paired tests of two models on the same queries, and what is to be said where many are made.

Under the hypothesis that the two models are alike, whose answers are whose is a coin toss for each query; so each query's
answers are swapped or kept, both models' metrics are computed anew from the swapped counts, and the p-value is the share of
tosses that show at least the difference that was seen (Fisher's randomisation test, by cluster; Good, "Permutation,
Parametric and Bootstrap Tests of Hypotheses", 2005). Swapping counts serves every metric, Macro-F1 too, whose value is no
mean over queries.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from lore_core.evaluation.bootstrap import kinds_of, weighted
from lore_core.evaluation.metrics import Floats

_CHUNK_CELLS: Final = 2_000_000
_TOLERANCE: Final = 1e-12


def swapped_sums(candidate: Floats, champion: Floats, rounds: int, seed: int) -> tuple[Floats, Floats]:
    """Both models' counts after swapping whole queries at random: (queries, columns) twice -> (rounds, columns) twice.

    Queries on which the two have equal counts cannot change anything and are not drawn; those with equal differences are
    drawn as one kind.
    """
    different = (candidate != champion).any(axis=1)
    kinds, members = kinds_of((candidate - champion)[different].astype(np.int64))
    generator = np.random.Generator(np.random.PCG64(seed))
    own = np.tile(champion.sum(axis=0), (rounds, 1))
    step = max(1, _CHUNK_CELLS // max(len(kinds), 1))
    for start in range(0, rounds if len(kinds) else 0, step):
        rows = min(step, rounds - start)
        own[start : start + rows] += weighted(generator.binomial(members, 0.5, size=(rows, len(kinds))), kinds)
    return own, candidate.sum(axis=0) + champion.sum(axis=0) - own


def two_sided(observed: float, drawn: Floats) -> float | None:
    """The p-value of a difference among those of the swaps, the data as they are counted in; None where it is undefined."""
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(observed) or defined.size < drawn.size:
        return None
    as_far = np.abs(defined) >= abs(observed) - _TOLERANCE
    return float((1 + as_far.sum()) / (1 + defined.size))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (Scandinavian Journal of Statistics 6, 1979): any of them may be claimed at its level."""
    found, worst = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        worst = max(worst, min(1.0, (len(values) - rank) * values[place]))
        found[place] = worst
    return found


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the share of false finds in a list (Benjamini & Hochberg, JRSS B 57, 1995)."""
    found, best = [0.0] * len(values), 1.0
    for rank, place in reversed(list(enumerate(sorted(range(len(values)), key=values.__getitem__), start=1))):
        best = min(best, len(values) / rank * values[place])
        found[place] = best
    return found
