"""The ablation's arms differ in what they say they differ in, spend the same, and are judged pair against pair."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.ablation import arms, report
from benchmarks.ablation.arms import CONTRASTS, EVERY, NONE, TUNED, Contrast, cell, padded_steps, withheld
from benchmarks.ablation.compare import Difference, differences, figures, tabled, verdicts
from benchmarks.ablation.runs import Budget, Outcome, answer_tokens, trained_tokens
from lore_core.benchmark.vocabulary import ALIASES, MEANING
from lore_core.benchmark.world import SUBSETS, Scale, World
from lore_core.jobs import Capability, RuleMode
from lore_core.prompts import TextEncoder, trace_text
from lore_core.records import LABELS, Pair
from lore_core.training.base import write_tokenizer

WORLD = World(11, Scale(train=6, tune=0, calibration=0, gate=6))
PAIRS = [pair for subset in SUBSETS for pair in WORLD.pairs("train", subset)]
GATE = [pair for subset in SUBSETS for pair in WORLD.pairs("gate", subset)]
BUDGET = Budget(steps=30, batch=8, extra=2, prompts=2, candidates=8)


def lacking(capability: Capability) -> list[tuple[Pair, Pair]]:
    return [(pair, withheld(pair, EVERY - {capability})) for pair in PAIRS]


def text(pair: Pair) -> str:
    """The item's own words, its picture's apart."""
    return " ".join((pair.title, pair.shop_name, *pair.cpv_sku.values()))


@pytest.mark.parametrize("arm", TUNED, ids=lambda arm: arm.name)
def test_every_arm_has_all_pairs_with_their_labels_and_no_picture(arm: arms.Tuned) -> None:
    left = [withheld(pair, arm.capabilities) for pair in PAIRS]
    assert [(pair.id, pair.groundtruth) for pair in left] == [(pair.id, pair.groundtruth) for pair in PAIRS]
    assert [(pair.query, text(pair)) for pair in left] == [(pair.query, text(pair)) for pair in PAIRS]
    assert not any(pair.image_base64 for pair in left)


def test_without_knowledge_a_trace_lacks_the_steps_on_aliases_and_nothing_else() -> None:
    for pair, left in lacking(Capability.KNOWLEDGE):
        aliased = {MEANING[word] for word in pair.query.split() if word in MEANING}
        assert [step for step in pair.trace if step not in left.trace] == [
            step for step in pair.trace if step.demand in aliased
        ]
        assert pair.needs.knowledge or left.trace == pair.trace
    assert any(len(left.trace) < len(pair.trace) for pair, left in lacking(Capability.KNOWLEDGE))


def test_without_visual_neither_prompt_nor_trace_says_what_only_the_picture_shows() -> None:
    for pair, left in lacking(Capability.VISUAL):
        shown = set(text(pair).split())
        assert not left.vqa_result
        assert list(left.trace) == [step for step in pair.trace if step.evidence in shown]
        assert pair.needs.image or left.trace == pair.trace
    assert any(len(left.trace) < len(pair.trace) for pair, left in lacking(Capability.VISUAL))


def test_without_rules_no_rule_is_shown_or_cited() -> None:
    mode = arms.rule_mode(EVERY - {Capability.RULES})
    cited = {step.rule for pair in PAIRS for step in pair.trace} - {""}
    assert mode is RuleMode.NONE
    assert cited
    for _, left in lacking(Capability.RULES):
        assert not cited & set(trace_text(left.trace, mode).split())


def test_each_capability_is_added_once_and_left_out_once_and_judged_by_its_own_cell() -> None:
    by_name = {arm.name: arm.capabilities for arm in TUNED}
    judged = [contrast for contrast in CONTRASTS if contrast.own]
    for capability, own in arms.CELLS.items():
        pair = [contrast for contrast in judged if contrast.own == own]
        assert [by_name[one.arm] - by_name[one.against] for one in pair] == [{capability}] * 2
        assert by_name[pair[1].arm] == EVERY
    assert by_name["SFT"] == NONE
    assert {cell(pair) for pair in GATE} == {*arms.JUDGED, arms.SEVERAL}


def test_arms_with_shorter_answers_take_more_steps_until_all_train_as_many_tokens(tmp_path: Path) -> None:
    encoder: TextEncoder = write_tokenizer([*ALIASES, *ALIASES.values(), "kind", "match"], tmp_path)
    whole = [answer_tokens(pair, RuleMode.RETRIEVED, encoder) for pair in PAIRS]
    budget = trained_tokens(PAIRS, BUDGET.tuned(17, 300, RuleMode.RETRIEVED), encoder)
    for arm in TUNED:
        left, mode = [withheld(pair, arm.capabilities) for pair in PAIRS], arms.rule_mode(arm.capabilities)
        steps = padded_steps(300, whole, [answer_tokens(pair, mode, encoder) for pair in left])
        assert trained_tokens(left, BUDGET.tuned(17, steps, mode), encoder) == pytest.approx(budget, rel=0.01)
        assert (steps == 300) == (arm.capabilities == EVERY)


def test_alignment_and_the_longer_arm_see_as_many_sequences_a_step_at_the_same_rate() -> None:
    align, longer = BUDGET.align(17), BUDGET.longer(17)
    assert longer.optimizer.batch_size == 8 * align.optimizer.batch_size
    assert (longer.optimizer.max_steps, longer.optimizer.learning_rate) == (2, align.optimizer.learning_rate)


def outcome(name: str, seed: int, wrong: Sequence[str] = ()) -> Outcome:
    """Gold answers, but for the other side of the split in the cells that are `wrong`."""
    gold = {pair.id: LABELS.index(pair.groundtruth) for pair in GATE}
    spoilt = {pair.id for pair in GATE if cell(pair) in wrong}
    answers = {name: 3 - code if name in spoilt else code for name, code in gold.items()}
    return Outcome(name, seed, answers, {"PassAt1": 0.5}, len(GATE), 1, 100)


def test_seeds_are_pooled_with_queries_of_their_own() -> None:
    gates = {17: GATE, 18: GATE}
    one, two = tabled(gates, [outcome("a", 17)]), tabled(gates, [outcome("a", 17), outcome("a", 18, ["plain"])])
    assert (len(two), two.queries) == (2 * len(one), 2 * one.queries)
    assert figures(one)["plain"]["Accuracy2"] == 1.0
    assert figures(two)["plain"]["Accuracy2"] == 0.5


def test_a_lift_is_told_in_its_own_cell_alone_and_an_arm_differs_from_itself_by_nothing() -> None:
    gates = {17: GATE}
    good, bad = (tabled(gates, [outcome("a", 17, wrong)]) for wrong in ((), ("rule",)))
    found = {one.cell: one for one in differences(good, bad) if one.metric == "Accuracy2"}
    assert (found["rule"].value, found["rule"].low, found["rule"].high) == (1.0, 1.0, 1.0)
    assert {found[name].value for name in ("plain", "knowledge", "image", "several")} == {0.0}
    assert {one.value for one in differences(bad, bad)} == {0.0}


def difference(name: str, value: float, low: float) -> Difference:
    return Difference("Accuracy2", name, value, low, value + 0.01, 100, 25)


def test_a_capability_must_lift_its_own_cell_by_five_points_and_harm_no_other() -> None:
    contrast = Contrast("+ rules", "b", "a", "rule")
    others = {"plain": -0.02, "knowledge": -0.021, "image": 0.0, "several": -0.5, "all": -0.5}

    def reached(value: float, low: float) -> list[bool]:
        rows = [difference("rule", value, low), *(difference(name, 0.0, least) for name, least in others.items())]
        return [one.reached for one in verdicts(contrast, rows)]

    assert reached(0.05, 0.001) == [True, True, False, True]
    assert reached(0.049, 0.02)[0] is False
    assert reached(0.08, 0.0)[0] is False


@pytest.mark.parametrize(("low", "reached"), [(-0.01, True), (-0.011, False)])
def test_alignment_must_not_harm_over_all_pairs(low: float, reached: bool) -> None:
    rows = [difference(name, -0.1, -0.2) for name in arms.JUDGED] + [difference("all", 0.0, low)]
    assert [one.reached for one in verdicts(Contrast("+ align", "b", "a"), rows)] == [reached]


def test_nothing_is_compared_where_budgets_differ(capsys: pytest.CaptureFixture[str]) -> None:
    runs = {"SFT": [outcome("SFT", 17)], "+ rules": [outcome("+ rules", 17)]}
    report.show_budgets(runs)
    assert "differ by at most 0.00%" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"differ by 2\.00%"):
        report.show_budgets(runs | {"SFT": [Outcome("SFT", 17, {}, {}, 1, 1, 102)]})


def test_an_arm_that_failed_on_one_seed_is_in_no_table() -> None:
    outcomes = [outcome("SFT", 17), outcome("+ rules", 17), outcome("SFT", 18)]
    assert list(report.whole_arms(outcomes, 2)) == ["SFT"]


def alike(pairs: Sequence[Pair]) -> set[tuple[str, ...]]:
    """Labels of pairs that look alike to an arm with neither visual nor rules."""
    seen: dict[str, list[str]] = {}
    for pair in pairs:
        left = withheld(pair, frozenset({Capability.KNOWLEDGE}))
        shown = " / ".join((pair.subset, pair.query, left.vqa_result, text(left)))
        seen.setdefault(shown, []).append(pair.groundtruth)
    return {tuple(sorted(labels)) for labels in seen.values()}


def test_lifts_of_rules_and_of_drawn_items_begin_at_half_of_the_pairs() -> None:
    assert alike([pair for pair in GATE if cell(pair) == "rule"]) == {("L2", "L3")}
    assert alike([pair for pair in GATE if pair.subset == "visual"]) == {("L1", "L2", "L3", "L4")}
