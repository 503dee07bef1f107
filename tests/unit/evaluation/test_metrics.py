"""The metrics a report prints are scikit-learn's, with the stated rules for answers and classes that are not there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    precision_score,
    recall_score,
)

from lore_core.evaluation import metrics
from lore_core.evaluation.catalogue import metric
from lore_core.evaluation.metrics import UNPARSABLE, counts_by_query

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), min_size=1, max_size=60)


def totals(pairs: list[tuple[int, int]]) -> np.ndarray:
    gold, answer = np.array(pairs).T
    return counts_by_query(gold, answer, np.zeros(len(pairs), int), 1)[0]


@given(PAIRS)
def test_accuracy4_is_sklearns_accuracy(pairs):
    gold, answer = np.array(pairs).T
    assert metrics.accuracy4(totals(pairs)) == pytest.approx(accuracy_score(gold, answer))


@given(PAIRS)
def test_accuracy2_is_sklearns_accuracy_of_the_binary_split(pairs):
    gold, answer = np.array(pairs).T
    split = np.where(answer < 0, -1, answer >= 2)
    assert metrics.accuracy2(totals(pairs)) == pytest.approx(accuracy_score((gold >= 2).astype(int), split))


@given(PAIRS)
def test_f1_of_a_class_is_sklearns(pairs):
    gold, answer = np.array(pairs).T
    found = metrics.f1_by_class(totals(pairs))
    expected = f1_score(gold, answer, labels=[0, 1, 2, 3], average=None, zero_division=0)
    for label in set(gold.tolist()):
        assert found[label] == pytest.approx(expected[label])


@given(PAIRS)
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [(metrics.precision_by_class, precision_score), (metrics.recall_by_class, recall_score)],
    ids=["precision", "recall"],
)
def test_precision_and_recall_are_sklearns(mine, theirs, pairs):
    gold, answer = np.array(pairs).T
    expected = theirs(gold, answer, labels=[0, 1, 2, 3], average=None, zero_division=0)
    for label in set(gold.tolist()):
        assert mine(totals(pairs))[label] == pytest.approx(expected[label])


@given(PAIRS)
def test_weighted_f1_is_sklearns(pairs):
    gold, answer = np.array(pairs).T
    expected = f1_score(gold, answer, average="weighted", zero_division=0)
    assert metrics.weighted_f1(totals(pairs)) == pytest.approx(expected)


def farthest(gold, answer):
    """Answers with unparsable ones at the label farthest from gold."""
    return np.where(answer < 0, np.where(gold >= 2, 0, 3), answer)


@given(PAIRS)
def test_mean_absolute_error_is_sklearns(pairs):
    gold, answer = np.array(pairs).T
    expected = mean_absolute_error(gold, farthest(gold, answer))
    assert metrics.mean_absolute_error(totals(pairs)) == pytest.approx(expected)


@given(PAIRS)
def test_quadratic_kappa_is_sklearns(pairs):
    gold, answer = np.array(pairs).T
    rated = farthest(gold, answer)
    if len({*gold.tolist(), *rated.tolist()}) == 1:
        assert np.isnan(metrics.quadratic_kappa(totals(pairs)))  # one label in all: agreement says nothing
    else:
        expected = cohen_kappa_score(gold, rated, weights="quadratic", labels=[0, 1, 2, 3])
        assert metrics.quadratic_kappa(totals(pairs)) == pytest.approx(expected)


@given(PAIRS)
def test_macro_f1_is_sklearns_over_the_classes_in_gold(pairs):
    gold, answer = np.array(pairs).T
    expected = f1_score(gold, answer, labels=sorted(set(gold.tolist())), average="macro", zero_division=0)
    assert metrics.macro_f1(totals(pairs)) == pytest.approx(expected)


@given(PAIRS)
def test_confusion_is_sklearns_with_unparsable_answers_in_the_last_column(pairs):
    gold, answer = np.array(pairs).T
    expected = confusion_matrix(gold, np.where(answer < 0, 4, answer), labels=[0, 1, 2, 3, 4])[:4]
    assert np.array_equal(metrics.confusion(totals(pairs)), expected)


def test_with_all_four_classes_macro_f1_is_the_quarter_sum():
    pairs = [(0, 0), (1, 0), (2, 2), (3, 3)]
    assert metrics.macro_f1(totals(pairs)) == pytest.approx((2 / 3 + 0 + 1 + 1) / 4)


@pytest.mark.parametrize("name", ["Accuracy4", "Accuracy2", "MacroF1", "WeightedF1"])
def test_an_unparsable_answer_is_wrong_in_every_metric(name):
    right = [(label, label) for label in range(4)]
    spoiled = [(label, UNPARSABLE) for label in range(4)]
    assert metric(name).of(totals(right)) == 1.0
    assert metric(name).of(totals(spoiled)) == 0.0


def test_an_unparsable_answer_is_counted():
    assert metrics.parse_rate(totals([(0, 0), (1, UNPARSABLE), (2, 1), (3, 3)])) == 0.75


def test_f1_of_a_class_without_gold_labels_is_undefined_even_where_it_was_answered():
    assert np.isnan(metrics.f1_by_class(totals([(0, 0), (1, 2)]))[2])


@pytest.mark.parametrize(
    "name",
    ["Accuracy4", "Accuracy2", "MacroF1", "WeightedF1", "QuadraticKappa", "MeanAbsoluteError", "ParseRate", "RuleFlip"],
)
def test_every_metric_of_nothing_is_undefined(name):
    assert np.isnan(metric(name).of(np.zeros(metrics.COLUMNS)))


def flip_counts(gold, answer, flip, query=None):
    query = np.zeros(len(gold), int) if query is None else np.array(query)
    return counts_by_query(np.array(gold), np.array(answer), query, int(query.max()) + 1, np.array(flip))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3), st.integers(-1, 9)), min_size=1, max_size=60))
def test_rule_flip_is_the_share_of_whole_groups_that_scikit_learn_calls_right(rows):
    """A group is right where its accuracy is 1; a pair alone is no group."""
    gold, answer, flip = np.array(rows).T
    groups = [flip == number for number in range(10) if (flip == number).sum() >= 2]
    right = [accuracy_score(gold[own], answer[own]) == 1.0 for own in groups]
    found = metrics.rule_flip(flip_counts(gold, answer, flip).sum(axis=0))
    assert np.isnan(found) if not groups else found == pytest.approx(np.mean(right))


def test_a_rule_flip_is_right_only_where_every_market_is():
    counts = flip_counts([3, 1, 3, 1], [3, 1, 3, 3], [0, 0, 1, 1])
    assert metrics.rule_flip(counts.sum(axis=0)) == 0.5


def test_a_model_that_ignores_the_market_gets_no_rule_flip_right():
    counts = flip_counts([3, 1, 2, 0], [3, 3, 2, 2], [0, 0, 1, 1])
    assert metrics.rule_flip(counts.sum(axis=0)) == 0.0


def test_half_a_rule_flip_group_does_not_count():
    counts = flip_counts([3, 1, 2], [3, 1, 2], [0, 0, 7])
    assert metrics.flip_groups(counts.sum(axis=0)) == 1.0


def test_counts_of_queries_add_up_to_the_counts_of_all():
    gold, answer, query = np.array([0, 1, 2, 3]), np.array([0, 2, 2, -1]), np.array([0, 1, 0, 1])
    whole = counts_by_query(gold, answer, np.zeros(4, int), 1)[0]
    assert np.array_equal(counts_by_query(gold, answer, query, 2).sum(axis=0), whole)


@pytest.mark.parametrize(("gold", "answer"), [([4], [0]), ([-1], [0]), ([0], [4]), ([0], [-2])])
def test_a_code_that_is_no_label_is_refused(gold, answer):
    with pytest.raises(ValueError, match="label code"):
        counts_by_query(np.array(gold), np.array(answer), np.array([0]), 1)
