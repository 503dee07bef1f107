"""Intervals come from drawing whole queries, depend on the seed and the answers alone, and cover what they should."""

import numpy as np
import pytest
from scipy import stats
from unit.evaluation.tables import evaluation, table

from lore_core.evaluation import metrics
from lore_core.evaluation.bootstrap import draws, interval, resample_sums, student_quantile
from lore_core.evaluation.table import PairTable


def counts_of(queries=40, pairs=5, seed=0):
    return evaluation(right=0.7, queries=queries, pairs=pairs, seed=seed).candidate.counts


def test_every_resample_has_as_many_queries_as_the_sample():
    sums = resample_sums(counts_of(queries=40, pairs=5), 50, seed=3)
    assert np.array_equal(metrics.samples(sums), np.full(50, 200.0))


@pytest.mark.parametrize(("queries", "pairs"), [(60, 4), (200, 1)])
def test_resampling_spreads_as_drawing_queries_one_by_one_does(queries, pairs):
    counts = counts_of(queries=queries, pairs=pairs)
    drawn = np.random.default_rng(5).integers(0, queries, size=(2000, queries))
    one_by_one = metrics.macro_f1(counts[drawn].sum(axis=1))
    assert stats.ks_2samp(one_by_one, metrics.macro_f1(resample_sums(counts, 2000, seed=6))).pvalue > 0.001


def test_the_same_seed_gives_the_same_resamples():
    assert np.array_equal(resample_sums(counts_of(), 200, seed=9), resample_sums(counts_of(), 200, seed=9))


def test_another_seed_gives_others():
    assert not np.array_equal(resample_sums(counts_of(), 200, seed=9), resample_sums(counts_of(), 200, seed=10))


def test_the_order_of_pairs_does_not_matter():
    ids, query, gold, answer = ["b", "a", "c"], ["x", "y", "x"], [0, 1, 2], [0, 2, 2]
    forwards = PairTable.build(ids, query, gold, answer)
    backwards = PairTable.build(ids[::-1], query[::-1], gold[::-1], answer[::-1])
    assert np.array_equal(resample_sums(forwards.counts, 200, 9), resample_sums(backwards.counts, 200, 9))
    assert forwards.pair_ids == backwards.pair_ids == ("a", "b", "c")


def test_chunks_do_not_change_the_result(monkeypatch):
    whole = resample_sums(counts_of(), 200, seed=9)
    monkeypatch.setattr("lore_core.evaluation.bootstrap._CHUNK_CELLS", 97)
    monkeypatch.setattr("lore_core.evaluation.bootstrap._KEPT_CELLS", 0)
    assert np.array_equal(resample_sums(counts_of(), 200, seed=9), whole)


def test_sums_are_exact_whole_numbers_whatever_their_size():
    counts = np.array([[1.0, 2.0**44 + 1], [3.0, 5.0], [0.0, 2.0**30 - 7]])
    drawn = np.vstack(list(draws(3, 50, seed=4))).astype(object)  # Python's own integers: no rounding anywhere
    assert np.array_equal(
        resample_sums(counts, 50, seed=4), (drawn @ counts.astype(np.int64).astype(object)).astype(float)
    )


def test_two_metrics_of_a_slice_see_the_same_resamples():
    counts = counts_of()
    ones = np.ones((len(counts), 1))
    whole = resample_sums(np.hstack([counts, ones]), 200, seed=9)
    assert np.array_equal(resample_sums(counts, 200, seed=9), whole[:, :-1])
    assert (whole[:, -1] == len(counts)).all()


def test_an_empty_slice_has_resamples_of_nothing():
    assert not resample_sums(np.zeros((0, 3)), 100, seed=1).any()


def test_pairs_of_one_query_widen_the_interval_where_they_succeed_together():
    generator = np.random.default_rng(0)
    query = np.repeat(np.arange(100), 10)
    gold = np.zeros(1000, int)
    together = np.where(np.repeat(generator.random(100) < 0.7, 10), 0, 2)
    apart = np.where(generator.random(1000) < 0.7, 0, 2)

    def width(answer):
        values = metrics.accuracy2(resample_sums(table(gold, answer, query).counts, 1000, seed=1))
        found = interval(values, 100, 0.95)
        return found.high - found.low

    assert width(together) > 2 * width(apart)


def test_one_query_has_no_interval():
    assert interval(np.array([0.5] * 100), 1, 0.95) is None


def test_a_statistic_that_many_resamples_leave_undefined_has_no_interval():
    assert interval(np.array([0.5] * 94 + [np.nan] * 6), 50, 0.95) is None


def test_few_undefined_resamples_are_left_out():
    found = interval(np.array([0.5] * 96 + [np.nan] * 4), 50, 0.95)
    assert (found.low, found.high) == (0.5, 0.5)


@pytest.mark.parametrize(("probability", "degrees"), [(0.95, 5), (0.95, 19), (0.975, 30), (0.99, 199), (0.5, 7)])
def test_students_quantile_is_scipys(probability, degrees):
    assert student_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), abs=2e-3)


def test_the_interval_covers_the_true_score_as_often_as_it_says():
    covered = 0
    for seed in range(300):
        scores = evaluation(right=0.8, queries=30, pairs=5, seed=seed, resamples=300)
        found = scores.value_interval("Accuracy4", None, 0.95)
        covered += found.low <= 0.8 <= found.high
    assert covered / 300 >= 0.85  # two one-sided 95 % bounds: 90 %, less three standard errors of 300 runs
