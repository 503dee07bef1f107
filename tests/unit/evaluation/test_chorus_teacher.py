"""The teacher of the Chorus comparison: never another side than the lexical rule's, and a grade learned from judged pairs."""

import numpy as np
import pytest

from benchmarks.chorus.teacher import teach

COLUMNS = 6
MATCH = 3


def features(cosine: list[float], match: int) -> np.ndarray:
    """Rows that differ by cosine alone, all with or all without a lexical match."""
    found = np.zeros((len(cosine), COLUMNS))
    found[:, 0], found[:, MATCH] = cosine, match
    return found


@pytest.fixture
def judged() -> tuple[np.ndarray, np.ndarray]:
    """Of pairs without a match low cosines are L1 and high ones L2; a match is L4, but for two that people call L1."""
    seen = np.concatenate([features([0.1] * 20 + [0.9] * 20, 0), features([0.5] * 20, 1)])
    return seen, np.array([0] * 20 + [1] * 20 + [0] * 2 + [3] * 18, np.int8)


def test_the_grade_within_a_side_is_learned(judged):
    soft = teach(*judged, features([0.1, 0.9], 0))
    assert soft.argmax(axis=1).tolist() == [0, 1]


def test_the_side_is_the_rules_whatever_people_said(judged):
    seen, gold = judged
    contrary = np.where(seen[:, MATCH] > 0, 0, 3).astype(np.int8)
    for taught in (gold, contrary):
        assert teach(seen, taught, features([0.5], 0))[0, 2:].sum() == 0
        assert teach(seen, taught, features([0.5], 1))[0, :2].sum() == 0


def test_a_side_that_was_never_judged_gets_its_outer_label(judged):
    seen, _ = judged
    gold = np.where(seen[:, 0] > 0.5, 1, 0).astype(np.int8)
    assert teach(seen, gold, features([0.5], 1)).tolist() == [[0.0, 0.0, 0.0, 1.0]]


def test_rows_are_probabilities(judged):
    soft = teach(*judged, np.concatenate([features([0.0, 0.3, 1.0], 0), features([0.0, 0.3, 1.0], 1)]))
    assert np.allclose(soft.sum(axis=1), 1.0)
    assert (soft >= 0).all()
