"""Grades of a few scores are those of many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.prompts.contract import Calibration
from lore_core.router.config import Calibration as Line
from lore_core.router.config import Knot
from lore_core.router.loaded import Grader

SCORES = st.lists(
    st.tuples(*[st.floats(0.001, 1.0)] * 4).map(lambda raw: tuple(value / sum(raw) for value in raw)),
    min_size=1,
    max_size=4,
)
LINE = Line(knots=(Knot(raw="1", calibrated="1.5"), Knot(raw="4", calibrated="3")))


@pytest.mark.parametrize("temperature", ["1", "2.5"])
@pytest.mark.parametrize("line", [None, LINE])
@given(scores=SCORES)
def test_a_few_scores_are_graded_as_many_are(
    temperature: str, line: Line | None, scores: list[tuple[float, ...]]
) -> None:
    grader = Grader(Calibration(temperature=temperature), line)

    few, many = grader.graded(scores), grader.graded_all(np.array(scores))

    assert few.labels == many.labels
    assert few.grades == pytest.approx(many.grades, abs=1e-12)
    assert np.array_equal(np.array(few.probabilities), np.array(many.probabilities))


def test_of_equal_scores_the_lower_label_is_taken() -> None:
    grader = Grader(Calibration(), None)

    assert grader.graded([(0.0, 0.5, 0.5, 0.0)]).labels == ["L2"]
    assert grader.graded_all(np.array([(0.0, 0.5, 0.5, 0.0)])).labels == ["L2"]
