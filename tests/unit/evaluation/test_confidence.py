"""Calibration, confidence and tiers are what scikit-learn and the papers say, and unreadable answers never help."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score
from unit.evaluation.tables import table

from lore_core.evaluation import confidence
from lore_core.evaluation.catalogue import CONFIDENCE_FAMILY, TIER_FAMILY
from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import UNPARSABLE
from lore_core.evaluation.slices import Slice


def scored(probabilities, gold, queries=None, answer=None):
    """A table of answers read from probabilities; a row of NaN is unparsable."""
    rows = np.asarray(probabilities, dtype=float)
    best = np.where(np.isnan(rows).any(axis=1), UNPARSABLE, np.nan_to_num(rows).argmax(axis=1))
    gap = np.full(len(rows), np.nan)
    query = range(len(rows)) if queries is None else queries
    return table(list(gold), best if answer is None else answer, query, measured=Measured(rows, gap, gap, gap))


def drawn(seed, size=400):
    generator = np.random.default_rng(seed)
    return generator.dirichlet([0.5] * 4, size), generator.integers(0, 4, size)


def value(answers, name):
    return Slice(answers, None, 100, 1).value(name)


@pytest.mark.parametrize("seed", range(20))
def test_the_calibration_error_is_that_of_sklearns_curve(seed):
    rows, gold = drawn(seed)
    top, right = rows.max(axis=1), rows.argmax(axis=1) == gold
    share, mean = calibration_curve(right, top, n_bins=confidence.BINS)
    size = np.histogram(top, np.linspace(0, 1, confidence.BINS + 1))[0]
    expected = (np.abs(share - mean) * size[size > 0]).sum() / len(gold)
    assert value(scored(rows, gold), "CalibrationError") == pytest.approx(expected, abs=1e-6)


def test_the_reliability_curve_is_sklearns():
    rows, gold = drawn(3)
    share, mean = calibration_curve(rows.argmax(axis=1) == gold, rows.max(axis=1), n_bins=confidence.BINS)
    size, own_mean, own_share = confidence.reliability(CONFIDENCE_FAMILY.count(scored(rows, gold)).sum(axis=0))
    assert own_share[size > 0] == pytest.approx(share)
    assert own_mean[size > 0] == pytest.approx(mean, abs=1e-6)


def test_low_confidence_is_the_share_below_seven_tenths_and_its_error_rate_is_told():
    rows = [[0.69, 0.31, 0, 0], [0.1, 0.65, 0.25, 0], [0.7, 0.3, 0, 0], [1, 0, 0, 0]]
    answers = scored(rows, [0, 0, 0, 0])
    assert value(answers, "LowConfidence") == 0.5
    assert value(answers, "LowConfidenceError") == 0.5


@pytest.mark.parametrize("name", ["CalibrationError", "LowConfidence"])
def test_an_answer_without_a_score_makes_calibration_worse(name):
    rows, gold = drawn(5)
    spoiled = rows.copy()
    spoiled[:100] = np.nan
    assert value(scored(spoiled, gold), name) > value(scored(rows, gold), name)


@pytest.mark.parametrize("name", ["CalibrationError", "LowConfidence", "LowConfidenceError"])
def test_generated_answers_without_any_score_have_no_calibration(name):
    assert np.isnan(value(scored(np.full((3, 4), np.nan), [0, 1, 2], answer=[0, 1, 2]), name))


@pytest.mark.parametrize(
    ("row", "tier"),
    [
        ([0, 0, 0, 1], "Good"),
        ([0.1, 0.3, 0.3, 0.3], "Good"),
        ([0.1, 0.45, 0.2, 0.25], "Mid"),
        ([0.6, 0.1, 0.2, 0.1], "Bad"),
    ],
)
def test_cumpt_adds_probability_from_the_best_label_down(row, tier):
    assert confidence.TIERS[confidence.cumpt_tiers(np.array([row]))[0]] == tier


def test_the_tiers_macro_f1_is_sklearns():
    rows, gold = drawn(7)
    wanted = np.array([2, 1, 0, 0])[gold]
    expected = f1_score(wanted, confidence.cumpt_tiers(rows), average="macro")
    assert value(scored(rows, gold), "TierMacroF1") == pytest.approx(expected)


def test_an_unparsable_answer_lands_in_the_wrong_tier():
    answers = scored(np.full((4, 4), np.nan), [0, 1, 2, 3])
    assert np.trace(confidence.tier_confusion(TIER_FAMILY.count(answers).sum(axis=0))) == 0
    assert value(answers, "TierMacroF1") == 0.0


def test_calibration_of_slices_adds_up_to_that_of_all():
    rows, gold = drawn(9)
    answers = scored(rows, gold, queries=np.arange(400) // 8)
    halves = [answers.rows(np.arange(400) < 200), answers.rows(np.arange(400) >= 200)]
    added = sum(CONFIDENCE_FAMILY.count(half).sum(axis=0) for half in halves)
    assert np.array_equal(CONFIDENCE_FAMILY.count(answers).sum(axis=0), added)
