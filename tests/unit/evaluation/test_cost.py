"""Tokens and time of any slice."""

import numpy as np
import pytest
from unit.evaluation.tables import table

from lore_core.evaluation.measured import Measured
from lore_core.evaluation.slices import Slice


def measured(prompt, output, milliseconds):
    size = len(prompt)
    columns = (np.array(values, dtype=float) for values in (prompt, output, milliseconds))
    answers = Measured(np.full((size, 4), np.nan), *columns)
    fields = {"market": ["north", "south"] * (size // 2)}
    return Slice(table([0] * size, [0] * size, range(size), fields, measured=answers), None, 200, 1)


def test_tokens_are_means_over_the_pairs_that_have_them():
    scores = measured([10, 30, 20, np.nan], [0, 8, 4, np.nan], [1] * 4)
    assert (scores.value("PromptTokens"), scores.value("OutputTokens")) == (20.0, 4.0)


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_latency_is_the_quantile_within_a_buckets_width(percent):
    times = np.random.default_rng(1).lognormal(4, 1, 2000)
    found = measured([1] * 2000, [1] * 2000, times).value(f"LatencyP{percent}")
    assert found == pytest.approx(np.quantile(times, percent / 100, method="inverted_cdf"), rel=0.051)


def test_latency_of_a_slice_is_its_own():
    scores = measured([1] * 100, [1] * 100, [10, 1000] * 50)
    assert scores.narrowed({"market": "south"}).value("LatencyP50") == pytest.approx(1000, rel=0.051)


def test_latency_has_an_interval():
    times = np.random.default_rng(2).lognormal(4, 1, 500)
    bounds = measured([1] * 500, [1] * 500, times).value_interval("LatencyP50", None, 0.975)
    assert bounds is not None
    assert bounds.low < np.median(times) < bounds.high


def test_nothing_measured_is_undefined():
    unknown = measured([np.nan] * 4, [np.nan] * 4, [np.nan] * 4)
    assert all(np.isnan(unknown.value(name)) for name in ("PromptTokens", "OutputTokens", "LatencyP95"))
