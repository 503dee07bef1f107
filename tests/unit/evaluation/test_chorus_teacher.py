"""The teacher of the Chorus comparison: it leaves the lexical rule where judged queries show that it may, and only there."""

import numpy as np
import pytest
from unit.evaluation.world import pair

from benchmarks.chorus.baselines import lexical
from benchmarks.chorus.teacher import MATCH, Grade, Side, Teacher, _detail

QUERIES, EACH = 60, 20
COUNT = QUERIES * EACH


def world(seed=3):
    """Features of which the first is noise, the third the rule's match, and the fourth another sign."""
    random = np.random.default_rng(seed)
    seen = random.normal(size=(COUNT, 12))
    seen[:, MATCH] = random.random(COUNT) < 0.5
    return seen, random


def judged(gold):
    labels = [f"L{grade + 1}" for grade in gold]
    return [pair(row, label, query=f"query {row // EACH}") for row, label in enumerate(labels)]


def wrong_in(share, random):
    return random.random(COUNT) < share


def test_without_a_better_sign_the_rule_decides():
    seen, random = world()
    relevant = (seen[:, MATCH] > 0) ^ wrong_in(0.2, random)
    teacher = Teacher.of(judged(np.where(relevant, 3, 0)), seen)
    assert teacher.side.share == 0
    assert ((teacher.labels(seen) >= 2) == (seen[:, MATCH] > 0)).all()


def test_a_sign_that_is_better_on_held_out_queries_overrules_the_rule():
    seen, random = world()
    relevant = (seen[:, 3] > 0) ^ wrong_in(0.05, random)
    teacher = Teacher.of(judged(np.where(relevant, 3, 0)), seen)
    assert teacher.side.share > 0
    assert ((teacher.labels(seen) >= 2) == relevant).mean() > 0.9


def test_a_better_sign_in_few_queries_is_not_believed():
    seen, random = world()
    relevant = (seen[:, MATCH] > 0) ^ wrong_in(0.2, random)
    relevant[: 4 * EACH] = seen[: 4 * EACH, 3] > 0
    assert Teacher.of(judged(np.where(relevant, 3, 0)), seen).side.share == 0


def test_grades_within_a_side_are_learned_and_leave_the_side_alone():
    seen, _ = world()
    relevant, upper = seen[:, MATCH] > 0, seen[:, 4] > 0
    gold = (2 * relevant + upper).astype(np.int8)
    found = Teacher.of(judged(gold), seen).labels(seen)
    assert ((found >= 2) == relevant).all()
    assert (found == gold).mean() > 0.95


def test_a_grade_that_nobody_gave_is_never_given():
    seen, _ = world()
    gold = np.where(seen[:, MATCH] > 0, 3, 0).astype(np.int8)
    answered = Grade(1.0, 1.0).fit(seen, gold)(seen, seen[:, MATCH] > 0)
    assert set(answered.tolist()) == {0, 3}


def test_a_rare_grade_that_weighs_more_is_given_more_often():
    seen, random = world()
    upper = seen[:, 4] + random.normal(size=COUNT) > 2
    light, heavy = (Grade(1.0, weight).fit(seen, upper.astype(np.int8)) for weight in (0.0, 1.0))
    none = np.zeros(COUNT, bool)
    assert (heavy(seen, none) == 1).sum() > (light(seen, none) == 1).sum()


def test_a_share_of_nothing_is_the_rule():
    seen, _ = world()
    assert (Side(0.0, 1.0).fit(seen, np.zeros(COUNT, np.int8))(seen) == (seen[:, MATCH] > 0)).all()


@pytest.mark.parametrize(
    ("query", "title", "exact", "singular", "last"),
    [
        ("laptops", "laptop bag", 0.0, 1.0, 1.0),
        ("phone cord", "phone case", 0.5, 0.5, 0.0),
        ("batteries", "aa battery", 0.0, 1.0, 1.0),
        ("lamp", "a glass", 0.0, 0.0, 0.0),
    ],
)
def test_words_are_found_as_they_stand_and_in_singular(query, title, exact, singular, last):
    assert _detail(query.split(), title.split())[:3] == [exact, singular, last]
    assert bool(lexical([pair(0, query=query, title=title)])[0]) == (exact == 1.0)
