"""Silver pairs of the Chorus comparison: made of what nobody judged."""

import numpy as np
from unit.evaluation.world import pair

from benchmarks.chorus.silver import silver_pairs
from benchmarks.chorus.student import Lesson

TITLES = [
    f"{colour} {kind} {size}" for colour in ("red", "blue", "grey") for kind in ("lamp", "mug") for size in "smlx"
]
JUDGED = [pair(0, query="red", title="red lamp s"), pair(1, query="mug", title="blue mug m")]


def test_nothing_that_was_judged_is_in_silver_pairs():
    silver = silver_pairs(TITLES, JUDGED, 30)
    assert silver
    assert not {one.query for one in silver} & {"red", "mug"}
    assert not {one.title for one in silver} & {"red lamp s", "blue mug m"}


def test_the_same_catalogue_gives_the_same_silver_pairs():
    assert silver_pairs(TITLES, JUDGED, 10) == silver_pairs(TITLES[::-1], JUDGED, 10)


def test_a_silver_query_meets_titles_with_and_without_its_words():
    silver = silver_pairs(TITLES, JUDGED, 30)
    shared = [bool(set(one.query.split()) & set(one.title.split())) for one in silver]
    assert 0.5 < np.mean(shared) < 1.0


def test_judged_pairs_are_about_a_third_of_what_a_student_draws():
    judged, silver = [pair(row) for row in range(10)], [pair(row, query="s") for row in range(100, 200)]
    drawn = Lesson(judged, silver, {}).pairs()
    assert len([one for one in drawn if one.query != "s"]) / len(drawn) == 50 / 150
