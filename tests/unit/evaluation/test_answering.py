"""When a label is read from a score, and when the answer counts as unparsable."""

import pytest
from unit.evaluation.world import pair

from lore_core.evaluation.answering import answered
from lore_core.prompts import RenderedPrompt
from lore_core.scoring.scores import LabelScore

PROMPT = RenderedPrompt((1, 2, 3), truncated=True)


def test_the_most_probable_label_is_the_answer():
    assert answered(pair(0), PROMPT, LabelScore((0.1, 0.2, 0.6, 0.1), 0.3)).answer == "L3"


def test_of_equal_labels_the_lower_grade_is_the_answer():
    assert answered(pair(0), PROMPT, LabelScore((0.1, 0.4, 0.1, 0.4))).answer == "L2"


@pytest.mark.parametrize("outside", [0.51, 1.0])
def test_mass_mostly_outside_the_labels_is_unparsable(outside):
    row = answered(pair(0), PROMPT, LabelScore((0.1, 0.2, 0.6, 0.1), outside))
    assert (row.answer, row.problem) == (None, "most of the probability lies outside the labels")


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_unparsable(broken):
    row = answered(pair(0), PROMPT, LabelScore((broken, 0.2, 0.6, 0.1)))
    assert (row.answer, row.probabilities, row.problem) == (None, None, "the score is not a number")


def test_a_cut_prompt_is_remembered():
    assert answered(pair(0), PROMPT, LabelScore((0.1, 0.2, 0.6, 0.1))).truncated
