"""What checkpoints are chosen by."""

import math

import numpy as np
import pytest

from lore_core.jobs.selection import TuneMetric
from lore_core.training.tune import tune_sample, tune_scores

from .conftest import pair


def test_the_scores_are_those_of_the_four_probabilities() -> None:
    sure = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]])
    found = tune_scores(sure, np.array([0, 0, 3]))
    assert found[TuneMetric.ACCURACY2] == 1.0
    assert found[TuneMetric.MACRO_F1] == pytest.approx((2 / 3 + 1) / 2)
    assert found[TuneMetric.LOG_LIKELIHOOD] == pytest.approx((2 * math.log(0.7) + math.log(0.1)) / 3)


def test_an_impossible_gold_label_counts_as_a_very_unlikely_one() -> None:
    assert math.isfinite(tune_scores(np.array([[1.0, 0, 0, 0]]), np.array([3]))[TuneMetric.LOG_LIKELIHOOD])


def test_a_sample_is_whole_queries_in_an_order_of_its_own() -> None:
    pairs = [pair(10 * query + item, query=f"q{query}") for query in range(20) for item in range(3)]
    chosen = tune_sample(pairs, 12, seed=5)
    assert len(chosen) == 12
    assert len({one.query for one in chosen}) == 4
    assert [one.id for one in chosen] != [one.id for one in pairs[:12]]
    assert chosen == tune_sample(pairs, 12, seed=5)
