"""Paired tests: exact where all swaps can be counted, right under the null, corrected as the books say."""

from itertools import product

import numpy as np
import pytest
from unit.evaluation.tables import evaluation, table

from lore_core.evaluation.comparisons import comparisons
from lore_core.evaluation.metrics import macro_f1
from lore_core.evaluation.paired import benjamini_hochberg, holm
from lore_core.evaluation.slices import Slice


def exact(candidate, champion) -> float:
    """The p-value of Macro-F1 over every way to swap the queries."""
    own, other = candidate.counts, champion.counts
    differences = []
    for kept in product((0.0, 1.0), repeat=len(own)):
        mine = np.array(kept) @ own + (1 - np.array(kept)) @ other
        differences.append(abs(macro_f1(own.sum(0) + other.sum(0) - mine) - macro_f1(mine)))
    observed = abs(macro_f1(other.sum(0)) - macro_f1(own.sum(0)))
    return float(np.mean(np.array(differences) >= observed - 1e-12))


def test_macro_f1_is_tested_as_exhaustive_swapping_of_queries_would():
    generator = np.random.default_rng(3)
    query, gold = np.repeat(np.arange(8), 5), generator.integers(0, 4, 40)
    candidate = table(gold, np.where(generator.random(40) < 0.9, gold, (gold + 1) % 4), query)
    champion = table(gold, np.where(generator.random(40) < 0.5, gold, (gold + 1) % 4), query)
    found = Slice(candidate, champion, 20_000, seed=5).sign_flip("MacroF1")
    assert found == pytest.approx(exact(candidate, champion), abs=0.01)


def test_a_model_against_itself_is_never_different():
    whole = evaluation(right=0.7, champion_right=0.7)
    assert Slice(whole.candidate, whole.candidate, 200, seed=1).sign_flip("Accuracy2") == 1.0


def test_alike_models_are_called_different_as_often_as_the_level_says():
    found = [evaluation(right=0.7, champion_right=0.7, queries=40, seed=seed, resamples=200) for seed in range(300)]
    share = np.mean([float(one.sign_flip("MacroF1") or 0) <= 0.1 for one in found])
    assert 0.05 < share < 0.15


def test_without_a_champion_there_is_nothing_to_test():
    assert evaluation(right=0.7).sign_flip("Accuracy2") is None
    assert comparisons(evaluation(right=0.7)) == []


def test_corrections_are_those_of_the_textbook():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_worst_slice_stands_first_and_its_p_value_knows_how_many_were_looked_at():
    queries, pairs = 100, 6
    query = np.repeat(np.arange(queries), pairs)
    gold = np.random.default_rng(1).integers(0, 4, len(query))
    market = [f"m{number % 4}" for number in query]
    lost = np.array([name == "m2" for name in market]) & (np.random.default_rng(2).random(len(query)) < 0.3)
    found = comparisons(
        Slice(
            table(gold, np.where(lost, (gold + 2) % 4, gold), query, {"market": market}),
            table(gold, gold, query, {"market": market}),
            500,
            seed=1,
        )
    )
    sliced = [one for one in found if one.correction == "BenjaminiHochberg"]
    assert sliced[0].slice == "market=m2"
    assert float(sliced[0].p) < float(sliced[0].adjusted) < 0.05
    assert {one.slice for one in found if one.correction == "Holm"} == {"all pairs"}
