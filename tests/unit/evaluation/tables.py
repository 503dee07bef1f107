"""Small evaluations for tests."""

import numpy as np

from lore_core.evaluation.slices import Slice
from lore_core.evaluation.table import PairTable


def table(gold, answer, queries, fields=None, flip=None, measured=None):
    """A table with pair ids in row order; `queries` are numbers, one a pair."""
    ids = [f"p{row:06d}" for row in range(len(gold))]
    return PairTable.build(ids, [f"q{number:06d}" for number in queries], gold, answer, fields, flip, measured)


def answers(gold, share_right, generator):
    """Answers right in a share of the pairs, and on the wrong side of the binary split otherwise."""
    return np.where(generator.random(len(gold)) < share_right, gold, (gold + 2) % 4)


def evaluation(*, right, champion_right=None, queries=200, pairs=10, seed=0, resamples=400, fields=None):
    """A whole evaluation of a model that is right with some probability, and a champion beside it."""
    generator = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), pairs)
    gold = generator.integers(0, 4, len(query))
    candidate = table(gold, answers(gold, right, generator), query, fields)
    champion = None
    if champion_right is not None:
        champion = table(gold, answers(gold, champion_right, generator), query, fields)
    return Slice(candidate, champion, resamples, seed=1)
