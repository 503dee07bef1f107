"""Scores: four probabilities a pair, the mass outside, and the one number that sorts across tiers."""

import math

import numpy as np
import pytest

from lore_core.prompts.contract import Calibration
from lore_core.scoring.scores import LabelScore, LabelScores, calibrated, expected_grade, label_softmax


def test_label_probabilities_are_the_softmax_over_the_four_labels_alone() -> None:
    probabilities, outside = label_softmax([math.log(0.1), math.log(0.2), math.log(0.1), math.log(0.4)])
    assert probabilities == pytest.approx((0.125, 0.25, 0.125, 0.5))
    assert outside == pytest.approx(0.2)


def test_labels_far_below_the_other_tokens_still_get_shares() -> None:
    probabilities, outside = label_softmax([-900.0, -901.0, -902.0, -903.0])
    assert sum(probabilities) == pytest.approx(1.0)
    assert outside == 1.0


@pytest.mark.parametrize("logprobs", [[0.0, 0.0, 0.0], [-math.inf] * 4])
def test_what_is_no_label_distribution_is_refused(logprobs: list[float]) -> None:
    with pytest.raises(ValueError, match="four label log-probabilities"):
        label_softmax(logprobs)


@pytest.mark.parametrize("broken", [None, math.nan, math.inf])
def test_one_log_probability_that_is_no_number_leaves_no_score(broken: float | None) -> None:
    probabilities, outside = label_softmax([-1.0, broken, -2.0, -3.0])
    assert all(map(math.isnan, (*probabilities, outside)))


def test_scores_stack_in_order() -> None:
    scores = LabelScores.of([LabelScore((1, 0, 0, 0), 0.25, "one"), LabelScore((0, 0, 0, 1))])
    assert scores.probabilities.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert (scores.outside.tolist(), scores.traces, len(scores)) == ([0.25, 0.0], ("one", ""), 2)


def test_no_pairs_have_an_empty_table() -> None:
    assert LabelScores.of([]).probabilities.shape == (0, 4)


def test_a_temperature_above_one_flattens_and_keeps_the_order() -> None:
    table = np.array([[0.7, 0.2, 0.1, 0.0]])
    flat = calibrated(table, Calibration(temperature="4"))
    assert flat[0, 0] < 0.7
    assert list(np.argsort(flat[0])) == list(np.argsort(table[0]))
    assert calibrated(table, Calibration()) == pytest.approx(table, abs=1e-9)


def test_the_expected_grade_weighs_the_contracts_grades() -> None:
    table = np.array([[0.0, 0.0, 0.5, 0.5], [1.0, 0.0, 0.0, 0.0]])
    assert expected_grade(table, Calibration(grades=("0", "1", "2", "4"))) == pytest.approx([3.0, 0.0], abs=1e-6)
