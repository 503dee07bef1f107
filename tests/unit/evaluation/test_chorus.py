"""The Chorus comparison is fair: no query on both sides, cuts from training pairs, differences paired."""

from collections import Counter

import numpy as np
import pytest
from unit.evaluation.world import pair

from benchmarks.chorus.__main__ import _unseen
from benchmarks.chorus.baselines import apply_cuts, bm25_scores, fit_cuts, lexical
from benchmarks.chorus.compare import ALL, DISJOINT, LEXICAL, STUDENT, compare, requirements, table
from benchmarks.chorus.data import FOLDS, fold_of

PAIRS = [pair(row, "L4" if row % 3 else "L1", query=f"shirt {row // 7}", item_id=f"i{row // 2}") for row in range(210)]
GOLD = np.array([one.groundtruth.grade - 1 for one in PAIRS], np.int8)
NOTHING_SEEN = np.ones(len(PAIRS), bool)


def test_every_query_lies_in_one_fold_and_folds_are_of_one_size():
    folds = fold_of(PAIRS)
    sizes = Counter(folds[one.query] for one in PAIRS)
    assert set(folds) == {one.query for one in PAIRS}
    assert sizes == dict.fromkeys(range(FOLDS), 42)


def test_folds_do_not_depend_on_the_order_of_pairs():
    assert fold_of(PAIRS[::-1]) == fold_of(PAIRS)


def test_an_item_is_unseen_where_only_its_own_fold_has_it():
    pairs = [pair(0, item_id="a"), pair(1, item_id="a"), pair(2, item_id="b"), pair(3, item_id="b")]
    assert _unseen(pairs, np.array([0, 1, 2, 2])).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("query", "title", "label"),
    [("Red-Shirt 2", "shirt 2 in red", 3), ("red shirt", "redder shirt", 0), ("shirt", "", 0)],
)
def test_lexical_wants_every_query_word_in_the_title(query, title, label):
    assert lexical([pair(0, query=query, title=title)]).tolist() == [label]


def test_bm25_is_a_share_of_the_best_score_in_the_catalogue():
    titles = ["red shirt", "blue shirt", "red hat", "green sock", "a lamp"]
    scores = bm25_scores([pair(0, query="red shirt", title=title) for title in titles], titles)
    assert scores[0] == 1.0
    assert scores[0] > scores[1] > scores[4] == 0.0


def test_cuts_find_the_border_of_the_training_pairs():
    scores = np.linspace(0, 1, 200)
    gold = np.where(scores < 0.6, 0, 3)
    answered = apply_cuts(scores, fit_cuts(scores, gold))
    assert (answered == gold).mean() > 0.95


def scores_of(student, lexical_labels):
    return compare(PAIRS, {STUDENT: student, LEXICAL: lexical_labels}, NOTHING_SEEN)


def of(scores, contender, metric, where=ALL):
    return next(one for one in scores if (one.slice, one.contender, one.metric) == (where, contender, metric))


def test_a_difference_is_student_minus_contender():
    found = of(scores_of(GOLD, np.zeros_like(GOLD)), LEXICAL, "Accuracy2")
    assert found.difference == pytest.approx((GOLD == 3).mean())
    assert found.difference_interval.low < found.difference < found.difference_interval.high


def test_the_requirements_hold_for_a_better_student_and_not_for_a_worse_one():
    better, worse = scores_of(GOLD, np.zeros_like(GOLD)), scores_of(np.zeros_like(GOLD), GOLD)
    assert all(requirements(better).values())
    assert not any(requirements(worse).values())


def test_pairs_with_items_of_training_are_left_out_of_the_disjoint_slice():
    unseen = np.arange(len(PAIRS)) < 70
    scores = compare(PAIRS, {STUDENT: GOLD, LEXICAL: GOLD}, unseen)
    found = of(scores, LEXICAL, "MacroF1", DISJOINT)
    assert (found.pairs, found.queries) == (70, 10)


def test_the_table_names_every_contender():
    text = table(scores_of(GOLD, np.zeros_like(GOLD)))
    assert f"| {STUDENT} |" in text
    assert f"| {LEXICAL} |" in text
    assert "210 pairs, 30 queries" in text
