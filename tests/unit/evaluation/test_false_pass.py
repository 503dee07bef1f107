"""A model whose true regression is exactly the allowed one passes no oftener than the confidence says.

Query effects are beta-distributed, so that pairs of one query succeed and fail together; the candidate loses more answers
than it gains by exactly the margin. The seeds are fixed: the runs are the same every time.
"""

import numpy as np
import pytest
from unit.evaluation.tables import table

from lore_core.evaluation.gates import Outcome, apply
from lore_core.evaluation.slices import Slice
from lore_core.jobs import Gate

RUNS = 400
MARGIN = 0.02
CHAMPION = 0.8
TOLERANCE = 0.01 + 1.64 * (0.05 * 0.95 / RUNS) ** 0.5
"""One point, and one standard error's worth of 95 % for the number of runs."""


def by_query(generator, share, correlation, queries):
    if correlation == 0:
        return np.full(queries, share)
    strength = (1 - correlation) / correlation
    return generator.beta(share * strength, (1 - share) * strength, queries)


def drawn(seed, queries, pairs, correlation, gained, rare):
    """Two models' answers on one drawn benchmark, the true regression of Accuracy4 being MARGIN."""
    generator = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), pairs)
    before = generator.random(len(query)) < by_query(generator, CHAMPION, correlation, queries)[query]
    lost = by_query(generator, (MARGIN + gained * (1 - CHAMPION)) / CHAMPION, correlation, queries)[query]
    won = by_query(generator, gained, correlation, queries)[query] if gained else np.zeros(len(query))
    chance = generator.random(len(query))
    after = np.where(before, chance >= lost, chance < won)
    gold = generator.choice(4, len(query), p=[rare, *[(1 - rare) / 3] * 3])
    wrong = (gold + 2) % 4
    return Slice(
        table(gold, np.where(after, gold, wrong), query), table(gold, np.where(before, gold, wrong), query), 300, seed
    )


def false_passes(gate, **benchmark):
    outcomes = [apply([gate], drawn(seed, **benchmark))[0].outcome for seed in range(RUNS)]
    return sum(outcome is Outcome.PASSED for outcome in outcomes) / RUNS


@pytest.mark.parametrize(
    "benchmark",
    [
        {"queries": 20, "pairs": 5, "correlation": 0.1, "gained": 0.1},
        {"queries": 50, "pairs": 1, "correlation": 0.0, "gained": 0.0},
        {"queries": 50, "pairs": 15, "correlation": 0.1, "gained": 0.1},
        {"queries": 200, "pairs": 5, "correlation": 0.3, "gained": 0.1},
    ],
    ids=lambda benchmark: "-".join(str(value) for value in benchmark.values()),
)
def test_a_regression_of_exactly_the_margin_seldom_passes(benchmark):
    gate = Gate(name="g", metric="Accuracy4", max_regression=str(MARGIN), min_queries=20)
    assert false_passes(gate, rare=0.25, **benchmark) <= 0.05 + TOLERANCE


def test_the_gate_is_not_merely_always_closed():
    gate = Gate(name="g", metric="Accuracy4", max_regression="0.08")
    passed = false_passes(gate, queries=200, pairs=5, correlation=0.1, gained=0.1, rare=0.25)
    assert passed > 0.8
