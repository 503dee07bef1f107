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

from lore_core.evaluation.metrics import Floats, Integers

_CHUNK_CELLS: Final = 2_000_000
_DENSE_CELLS: Final = 12
"""A cell that is looked up costs about as much as this many cells of a matrix product."""
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


def kinds_of(counts: Integers) -> tuple[Integers, Integers]:
    """The different rows, in an order that depends on them alone, and how often each occurs.

    Rows are told apart by a 64-bit hash, many times faster than by sorting whole rows, and compared once to be sure.
    """
    factors = np.random.default_rng(0).integers(1, 2**63, size=counts.shape[1], dtype=np.uint64)
    hashes = counts.astype(np.uint64) @ factors
    _, first, kind, members = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    kinds = counts[first]
    if not np.array_equal(kinds[kind], counts):
        kinds, members = np.unique(counts, axis=0, return_counts=True)
    return kinds, members


def weighted(drawn: Integers, kinds: Integers) -> Floats:
    """`drawn` @ `kinds`, over the cells of `kinds` that are not zero where those are few."""
    kind, column = np.nonzero(kinds)
    if kinds.size < _DENSE_CELLS * len(kind):
        return np.asarray(drawn.astype(np.float64) @ kinds.astype(np.float64))
    worth = kinds[kind, column].astype(np.float64)
    return np.stack([np.bincount(column, row[kind] * worth, kinds.shape[1]) for row in drawn])


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
