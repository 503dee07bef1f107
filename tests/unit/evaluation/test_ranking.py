"""Ranking within a query is scikit-learn's, ties included, and an unreadable answer never improves an order."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score
from unit.evaluation.tables import table

from lore_core.evaluation import ranking
from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import UNPARSABLE
from lore_core.evaluation.slices import Slice


def drawn(seed, queries=12, ties=True):
    """Gold, scores and queries in mixed order; scores on a coarse grid tie often."""
    generator = np.random.default_rng(seed)
    query = generator.integers(0, queries, 150)
    query[:queries] = np.arange(queries)
    score = generator.integers(0, 6, 150).astype(float) if ties else generator.random(150)
    return generator.integers(0, 4, 150), score, query


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("cutoff", [3, 5, 10, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_ndcg_of_a_query_is_sklearns(seed, cutoff, ties):
    gold, score, query = drawn(seed, ties=ties)
    found = ranking.ndcg(gold, score, query, 12, cutoff)
    for number in range(12):
        own = query == number
        expected = ndcg_score([2.0 ** gold[own] - 1], [score[own]], k=cutoff) if own.sum() > 1 else 1.0
        assert found[number] == pytest.approx(expected)


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_auc_of_a_query_is_sklearns(seed, ties):
    gold, score, query = drawn(seed, ties=ties)
    found = ranking.auc(gold >= 2, score, query, 12)
    for number in range(12):
        own = query == number
        if len(set((gold[own] >= 2).tolist())) == 2:
            assert found[number] == pytest.approx(roc_auc_score(gold[own] >= 2, score[own]))
        else:
            assert np.isnan(found[number])


def test_the_means_leave_out_queries_that_no_order_can_change():
    gold, score = np.array([3, 0, 3, 3, 1, 1]), np.array([1.0, 2.0, 5.0, 5.0, 5.0, 5.0])
    totals = ranking.ranking_counts(gold, score, np.array([0, 0, 1, 1, 2, 2]), 3).sum(axis=0)
    assert ranking.mean_auc(totals) == 0.0
    assert ranking.mean_ndcg(totals, 5) == pytest.approx(1 / np.log2(3), abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_inversions_are_those_that_looking_at_every_two_items_finds(seed):
    gold, score, query = drawn(seed)
    tier = np.random.default_rng(100 + seed).integers(-1, 3, len(gold))
    wrong, clear = ranking.inversions(gold, score, query, 12, tier)
    for number in range(12):
        rows = np.flatnonzero(query == number)
        known = [
            (one, two) for one in rows for two in rows if min(tier[one], tier[two]) >= 0 and tier[one] != tier[two]
        ]
        better = [(one, two) for one, two in known if gold[one] > gold[two]]
        assert clear[number] == len(better)
        assert wrong[number] == sum(
            1.0 if score[a] < score[b] else 0.5 if score[a] == score[b] else 0.0 for a, b in better
        )


def counted(gold, score, tier):
    return ranking.inversions(np.array(gold), np.array(score), np.zeros(len(gold), int), 1, np.array(tier))


def test_an_inversion_is_a_worse_item_above_a_better_one_of_another_tier():
    wrong, clear = counted([3, 0, 3, 0], [0.2, 0.9, 0.8, 0.1], [0, 1, 0, 1])
    assert (wrong[0], clear[0]) == (2.0, 4.0)


def test_items_of_one_tier_and_items_of_one_grade_are_no_clear_pairs():
    assert counted([3, 0], [0.1, 0.9], [1, 1])[1][0] == 0
    assert counted([2, 2], [0.1, 0.9], [0, 1])[1][0] == 0


def test_a_tie_across_tiers_is_half_an_inversion():
    assert counted([3, 0], [0.5, 0.5], [0, 1])[0][0] == 0.5


def test_items_of_an_unknown_tier_are_not_compared():
    assert counted([3, 0], [0.1, 0.9], [-1, 1])[1][0] == 0


def evaluated(answer, gold, probabilities=None, fields=None):
    gap = np.full(len(gold), np.nan)
    rows = np.full((len(gold), 4), np.nan) if probabilities is None else np.array(probabilities, dtype=float)
    measured = Measured(rows, gap, gap, gap)
    return Slice(table(gold, answer, [0] * len(gold), fields, measured=measured), None, 100, 1)


def test_items_are_sorted_by_expected_grade():
    good, better = [0.4, 0, 0, 0.6], [0, 0, 0.9, 0.1]  # 2.8 and 3.1, though the first one's best label is L4
    assert evaluated([3, 2], [0, 3], [good, better]).value("QueryAUC") == 1.0


def test_generated_answers_are_sorted_by_their_label():
    assert evaluated([3, 0], [3, 0]).value("QueryAUC") == 1.0


@pytest.mark.parametrize("gold", [[3, 0], [0, 3]])
def test_an_unparsable_answer_is_ranked_where_it_hurts(gold):
    assert evaluated([UNPARSABLE, UNPARSABLE], gold).value("QueryAUC") == 0.0


def test_the_tier_field_makes_inversions_a_metric_of_the_table():
    gold, answer = [3, 0, 3, 0], [0, 3, 3, 0]
    mixed = evaluated(answer, gold, fields={"tier": ["head", "tail", "tail", "head"]})
    assert mixed.value("CrossTierInversion") == 0.5
    assert np.isnan(evaluated(answer, gold).value("CrossTierInversion"))
