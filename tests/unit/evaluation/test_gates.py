"""What a release manager reads from the gates: three outcomes, in words, and never a false Passed."""

import dataclasses

import numpy as np
import pytest
from unit.evaluation.tables import evaluation, table

from lore_core.evaluation.gates import Outcome, apply, combine, explain
from lore_core.evaluation.measured import Measured
from lore_core.evaluation.slices import Slice
from lore_core.jobs import Gate, RuleMode


def gate(**options):
    return Gate(**{"name": "g", "metric": "Accuracy2"} | options)


def judge(the_gate, scores, **options):
    (found,) = apply([the_gate], scores, champion_name="lore-q3", **options)
    return found


def exactly(right, wrong, **options):
    """Single-pair queries: so many right, so many wrong. Gold is L1 and L4 in turn."""
    gold = np.arange(right + wrong) % 2 * 3
    answer = np.where(np.arange(right + wrong) < right, gold, 3 - gold)
    return Slice(table(gold, answer, range(right + wrong), **options), None, 200, 1)


@pytest.mark.parametrize(
    ("bound", "outcome"),
    [
        ({"min": "0.75"}, "Passed"),
        ({"min": "0.76"}, "Failed"),
        ({"max": "0.75"}, "Passed"),
        ({"max": "0.74"}, "Failed"),
    ],
)
def test_floor_and_ceiling_are_decided_on_the_point_estimate(bound, outcome):
    assert judge(gate(**bound), exactly(75, 25)).outcome == outcome


def test_a_floor_says_slice_value_interval_bound_and_size():
    fields = {"subset": ["hard"] * 100, "market": ["b"] * 100}
    found = judge(gate(min="0.8", subset="hard", where={"market": "b"}), exactly(75, 25, fields=fields))
    low, high = float(found.low), float(found.high)
    assert found.message.startswith(
        f"Accuracy2 on subset hard, market=b is 0.7500 [{low:.4f}, {high:.4f}], below 0.8; 100 pairs, 100 queries"
    )
    assert low < 0.75 < high


def test_a_clear_regression_fails_and_names_champion_both_values_and_bound():
    found = judge(gate(max_regression="0.02"), evaluation(right=0.6, champion_right=0.8))
    assert found.outcome == Outcome.FAILED
    value, champion, regression = (f"{float(one):.4f}" for one in (found.value, found.champion, found.regression))
    assert f"is {value} against {champion} of lore-q3, a regression of {regression} [" in found.message
    assert "beyond the allowed 0.02; 2000 pairs, 200 queries" in found.message


def test_a_better_model_passes_the_regression_gate():
    assert judge(gate(max_regression="0.02"), evaluation(right=0.9, champion_right=0.8)).outcome == Outcome.PASSED


def test_a_regression_within_the_bound_that_the_sample_cannot_show_is_inconclusive():
    gold, query = np.zeros(100, int), np.arange(100)
    candidate, champion = np.where(query < 22, 2, 0), np.where((query >= 10) & (query < 30), 2, 0)
    scores = Slice(table(gold, candidate, query), table(gold, champion, query), 200, 1)
    found = judge(gate(max_regression="0.05"), scores)
    assert found.outcome == Outcome.INCONCLUSIVE
    assert float(found.regression) <= 0.05 < float(found.high)


def identical(queries, pairs):
    scores = evaluation(right=0.8, queries=queries, pairs=pairs)
    return dataclasses.replace(scores, champion=scores.candidate)


def test_the_same_answers_on_enough_pairs_pass():
    assert judge(gate(max_regression="0.02"), identical(200, 10)).outcome == Outcome.PASSED


def test_the_same_answers_on_few_pairs_do_not_prove_that_nothing_was_lost():
    assert judge(gate(max_regression="0.02"), identical(60, 1)).outcome == Outcome.INCONCLUSIVE


def test_only_the_slice_that_regressed_is_blocked():
    query = np.repeat(np.arange(200), 10)
    gold = np.random.default_rng(0).integers(0, 4, 2000)
    rule = np.array(["true", "false"] * 1000)
    candidate = np.where((rule == "true") & (np.arange(2000) % 3 == 0), (gold + 2) % 4, gold)
    fields = {"needs.rule": rule.tolist()}
    scores = Slice(table(gold, candidate, query, fields), table(gold, gold, query, fields), 300, 1)
    by_slice = [gate(name=cell, max_regression="0.02", where={"needs.rule": cell}) for cell in ("true", "false")]
    with_rules, without = apply(by_slice, scores, champion_name="lore-q3")
    assert (with_rules.outcome, without.outcome) == (Outcome.FAILED, Outcome.PASSED)
    assert with_rules.slice == "needs.rule=true"


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"min_queries": 101}, "100 queries are fewer than minQueries 101"),
        ({"min_samples": 101}, "fewer than minSamples"),
    ],
)
def test_too_small_a_slice_is_inconclusive_however_good(limit, words):
    found = judge(gate(min="0.5", **limit), exactly(100, 0))
    assert found.outcome == Outcome.INCONCLUSIVE
    assert words in found.message


@pytest.mark.parametrize(("on_missing", "outcome"), [("Fail", "Failed"), ("Inconclusive", "Inconclusive")])
@pytest.mark.parametrize(
    "case",
    [
        gate(min="0.5", subset="absent"),
        gate(metric="F1", label="L3", min="0.5"),
        gate(max_regression="0.02"),
        gate(metric="RuleFlip", min="0.5"),
    ],
    ids=["empty slice", "class without gold labels", "no champion", "no rule-flip groups"],
)
def test_what_cannot_be_decided_is_what_on_missing_says(case, on_missing, outcome):
    assert judge(case.model_copy(update={"on_missing": on_missing}), exactly(100, 0)).outcome == outcome


ONE_CLASS = [
    gate(min="0.5"),
    gate(metric="Accuracy4", min="0.5"),
    gate(metric="MacroF1", min="0.5"),
    gate(metric="WeightedF1", min="0.5"),
    gate(metric="F1", label="L4", min="0.5"),
    gate(metric="Recall", label="L4", min="0.5"),
    gate(metric="MeanAbsoluteError", max="0.5"),
    gate(metric="TierMacroF1", min="0.5"),
    gate(max_regression="0.05"),
]


@pytest.mark.parametrize(("on_missing", "outcome"), [("Fail", "Failed"), ("Inconclusive", "Inconclusive")])
@pytest.mark.parametrize("case", ONE_CLASS, ids=lambda one: f"{one.metric}-{one.max_regression or 'bound'}")
def test_what_any_constant_answer_would_hold_on_one_class_never_passes(case, on_missing, outcome):
    """The slice's gold is L4 throughout, and every answer is right."""
    one = table([3] * 200, [3] * 200, range(200))
    found = judge(case.model_copy(update={"on_missing": on_missing}), Slice(one, one, 200, 1))
    assert found.outcome == outcome
    assert f"every gold label is {'L3 or L4' if case.metric in ('Accuracy2', 'TierMacroF1') else 'L4'}" in found.message


@pytest.mark.parametrize(
    "case",
    [
        gate(metric="QueryAUC", min="0"),
        gate(metric="QuadraticKappa", min="-1"),
        gate(metric="F1", label="L1", min="0"),
        gate(metric="CrossTierInversion", max="1"),
    ],
    ids=lambda one: one.metric,
)
def test_what_is_undefined_on_one_class_is_no_pass(case):
    found = judge(case, Slice(table([3] * 100, [3] * 100, np.arange(100) // 2), None, 200, 1))
    assert (found.outcome, found.value) == (Outcome.INCONCLUSIVE, None)


def test_one_class_still_fails_where_it_is_answered_badly():
    assert (
        judge(gate(min="0.5"), Slice(table([3] * 100, [0] * 100, range(100)), None, 200, 1)).outcome == Outcome.FAILED
    )


def test_one_side_of_the_split_is_one_class_to_accuracy2_alone():
    sided = Slice(table([2, 3] * 60, [2, 3] * 60, range(120)), None, 200, 1)
    found = apply([gate(min="0.5"), gate(metric="MacroF1", min="0.5")], sided)
    assert [one.outcome for one in found] == [Outcome.INCONCLUSIVE, Outcome.PASSED]


def test_a_gate_that_gold_has_no_part_in_does_not_ask_for_classes():
    assert judge(
        gate(metric="ParseRate", min="0.5"), Slice(table([3] * 60, [3] * 60, range(60)), None, 200, 1)
    ).outcome == (Outcome.PASSED)


def test_f1_of_one_class_is_gated():
    gold, answer = [2] * 60 + [3] * 60, [2] * 30 + [3] * 90
    found = judge(gate(metric="F1", label="L3", min="0.7"), Slice(table(gold, answer, range(120)), None, 200, 1))
    assert (found.outcome, found.value, found.metric) == (Outcome.FAILED, "0.666667", "F1:L3")


def test_rule_flips_are_counted_in_groups():
    flip = [f"g{row // 2}" for row in range(120)] + [""] * 40
    query = [row // 2 for row in range(120)] + [900] * 40
    answer = [0] * 60 + [2, 0] * 30 + [0] * 40
    scores = Slice(table([0] * 160, answer, query, flip=flip), None, 200, 1)
    found = judge(gate(metric="RuleFlip", min="0.6"), scores)
    assert (found.value, found.samples, found.queries) == ("0.500000", 60, 60)


def test_rounding_does_not_decide_a_gate():
    gold, query = np.zeros(5000, int), np.arange(5000)
    champion, candidate = np.where(query < 1000, 2, 0), np.where(query < 1100, 2, 0)
    scores = Slice(table(gold, candidate, query), table(gold, champion, query), 200, 1)
    found = judge(gate(max_regression="0.02"), scores)
    assert 0.8 - 0.78 > 0.02  # what floating point makes of it
    assert found.outcome == Outcome.INCONCLUSIVE  # at the margin itself: not failed, and not shown to hold either


def test_every_decided_gate_prints_its_minimum_detectable_regression():
    bounds = [gate(name="a", min="0.5"), gate(name="b", max_regression="0.02")]
    found = apply(bounds, evaluation(right=0.8, champion_right=0.8))
    assert all(float(one.minimum_detectable_regression) > 0 for one in found)
    assert all("minimum detectable regression" in one.message for one in found)
    assert f"power {float(found[1].power):.0%}: so often an equal model passes" in found[1].message
    assert "power" not in found[0].message


def test_a_gate_with_little_power_warns():
    found = judge(gate(max_regression="0.005"), evaluation(right=0.95, champion_right=0.95, queries=400, pairs=1))
    assert float(found.power) < 0.5
    assert "only" in found.warning
    assert "add queries or allow more" in found.warning


def test_a_gate_with_power_does_not_warn():
    found = judge(gate(max_regression="0.1"), evaluation(right=0.95, champion_right=0.95))
    assert found.warning is None


def test_power_is_that_of_the_normal_theory():
    """0.005 with 400 independent pairs, 10 % of them discordant, passes an equal model 9 % of the time."""
    gold = np.zeros(400, int)
    candidate, champion = gold.copy(), gold.copy()
    candidate[:20], champion[20:40] = 2, 2
    query = np.arange(400)
    scores = Slice(table(gold, candidate, query), table(gold, champion, query), 4000, 1)
    assert float(judge(gate(max_regression="0.005"), scores).power) == pytest.approx(0.09, abs=0.015)


@pytest.mark.parametrize("bound", [{"min": "0.5"}, {"max_regression": "0.1"}])
def test_oracle_rules_satisfy_no_required_gate(bound):
    found = judge(gate(**bound), evaluation(right=0.9, champion_right=0.8), rule_mode=RuleMode.ORACLE)
    assert found.outcome == Outcome.INCONCLUSIVE
    assert "Oracle" in found.message


def test_oracle_rules_do_not_hide_a_failure():
    found = judge(gate(min="0.95"), evaluation(right=0.8), rule_mode=RuleMode.ORACLE)
    assert found.outcome == Outcome.FAILED


def test_answers_to_other_pairs_cannot_be_compared():
    mine, other = exactly(60, 0).candidate, exactly(61, 0).candidate
    with pytest.raises(ValueError, match="same pairs"):
        Slice(mine, other, 200, 1)


def outcomes(*pairs):
    template = judge(gate(min="0.5"), evaluation(right=0.9))
    return [
        template.model_copy(update={"name": f"g{row}", "severity": severity, "outcome": Outcome(outcome)})
        for row, (severity, outcome) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ([("Required", "Passed"), ("Required", "Passed")], "Passed"),
        ([("Required", "Passed"), ("Required", "Inconclusive")], "Inconclusive"),
        ([("Required", "Failed"), ("Required", "Inconclusive")], "Failed"),
        ([("Required", "Passed"), ("Advisory", "Failed")], "Passed"),
        ([("Advisory", "Passed")], "Inconclusive"),
        ([], "Inconclusive"),
    ],
)
def test_the_verdict_is_passed_only_where_every_required_gate_is(given, verdict):
    assert combine(outcomes(*given))[0] == verdict


def test_the_verdict_names_the_gates_that_decided_it():
    _, why = combine(outcomes(("Required", "Passed"), ("Required", "Failed")))
    assert why.startswith("g1: Accuracy2 on all pairs")
    assert "g0" not in why


def test_an_advisory_gate_that_did_not_pass_is_named_beside_the_verdict():
    _, why = combine(outcomes(("Required", "Passed"), ("Advisory", "Failed")))
    assert why == "all 1 Required gates passed; advisory, deciding nothing: g1 Failed"


def test_the_explanation_has_a_line_for_every_gate_and_its_warning():
    found = outcomes(("Required", "Passed"), ("Required", "Failed"), ("Advisory", "Inconclusive"))
    found[1] = found[1].model_copy(update={"warning": "too few queries"})
    first, *lines = explain(found)
    assert first == "Failed: 1 of 2 Required gates passed"
    assert [line.split()[:2] for line in lines] == [
        ["Passed", "g0:"],
        ["Failed", "g1:"],
        ["warning:", "too"],
        ["Inconclusive", "g2,"],
    ]
    assert "Advisory, decides nothing" in lines[3]


@pytest.mark.parametrize(
    ("bound", "outcome"), [({"min": "0.99"}, "Failed"), ({"min": "0.9"}, "Passed"), ({"max": "0.9"}, "Failed")]
)
def test_a_ranking_metric_can_be_gated(bound, outcome):
    gold = [3, 0] * 60
    scores = Slice(table(gold, [*gold[:-2], 0, 3], np.repeat(np.arange(60), 2)), None, 200, 1)
    assert judge(gate(metric="QueryAUC", **bound), scores).outcome == outcome


def test_unparsable_answers_cannot_pass_a_ceiling_on_calibration():
    found = judge(gate(metric="CalibrationError", max="0.2"), exactly(100, 0))
    assert found.outcome == Outcome.INCONCLUSIVE  # nothing has probabilities


@pytest.mark.parametrize(
    ("metric", "bound", "outcome"),
    [
        ("LowConfidence", "0.4", "Failed"),
        ("LowConfidence", "0.5", "Passed"),
        ("LowConfidenceError", "0.49", "Failed"),
        ("LowConfidenceError", "0.5", "Passed"),
    ],
)
def test_answers_of_low_confidence_are_gated_by_their_share_and_by_their_error(metric, bound, outcome):
    """Every second answer has a confidence of 0.6, and every second of these is wrong."""
    rows = np.arange(120)
    gold = np.where(rows < 60, 3, 0)
    answer = np.where(rows % 4 == 0, 3 - gold, gold)
    sure = np.where(rows % 2 == 0, 0.6, 0.9)
    probabilities = np.tile(((1 - sure) / 3)[:, None], (1, 4))
    probabilities[rows, answer] = sure
    found = dataclasses.replace(Measured.unknown(120), probabilities=probabilities)
    assert (
        judge(gate(metric=metric, max=bound), Slice(table(gold, answer, rows, measured=found), None, 200, 1)).outcome
        == outcome
    )
