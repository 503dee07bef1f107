"""The teacher of the Chorus comparison: never another side than the lexical rule's, and a grade learned from judged pairs."""

import numpy as np
import pytest
from unit.evaluation.world import pair

from benchmarks.chorus.teacher import MATCH, has_head, labelled, teach

COLUMNS = 6


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


def test_a_label_that_nobody_gave_gets_nothing(judged):
    soft = teach(*judged, np.concatenate([features([0.0, 1.0], 0), features([0.0, 1.0], 1)]))
    assert soft[:, 2].tolist() == [0.0] * 4


def test_pairs_carry_the_teachers_likeliest_label():
    found = labelled([pair(0), pair(1)], np.array([[0.1, 0.7, 0.1, 0.1], [0.0, 0.0, 0.1, 0.9]]))
    assert [str(one.groundtruth) for one in found] == ["L2", "L4"]


@pytest.mark.parametrize(
    ("query", "title", "there"),
    [
        ("laser printers", "HP Printer with toner", True),
        ("printer toner", "HP printer", False),
        ("batteries", "one battery", True),
        ("glass", "glasses", False),
        ("printer", "", False),
    ],
)
def test_the_head_of_a_query_is_its_last_word_in_singular_or_plural(query, title, there):
    assert has_head(query, title) is there
