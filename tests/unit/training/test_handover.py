"""A hand-over ends where label-first training is: every stage has less reasoning before the label, the last one none."""

from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from lore_core.jobs import RuleMode
from lore_core.jobs.config import Layout, Optimizer, SftSettings
from lore_core.prompts import NO_RULES, ModelKit, PromptLayout, TextEncoder, build_contract
from lore_core.training.examples import IGNORED, Example, answered
from lore_core.training.handover import STAGES, reasoned, shortened
from lore_core.training.order import sft_order
from lore_core.training.tokenizer import build_tokenizer, vocabulary

from .conftest import pair

ENCODER = TextEncoder(build_tokenizer(vocabulary(["red blue shirt colour conflict kind match ; label"])))
STEPS = [
    {"dimension": "kind", "demand": "shirt", "evidence": "shirt", "verdict": "match"},
    {"dimension": "colour", "demand": "red", "evidence": "blue", "verdict": "conflict"},
]


def kit_of(*prefix: str) -> ModelKit:
    contract = build_contract(ENCODER, PromptLayout.LABEL_FIRST, RuleMode.NONE, 32)
    ids = tuple(ENCODER.encode(" ".join(prefix)))
    verbaliser = contract.verbaliser.model_copy(update={"prefix_ids": ids})
    return ModelKit(contract.model_copy(update={"verbaliser": verbaliser}), ENCODER)


def at(stage: int, kit: ModelKit, **changes: Any) -> Example:
    record = pair(1, **({"trace": STEPS} | changes))
    return shortened(
        reasoned(kit)(kit.render(record, NO_RULES), record), stage, len(kit.contract.verbaliser.prefix_ids)
    )


def trained(example: Example) -> str:
    return ENCODER.decode([id_ for id_ in example.targets if id_ != IGNORED])


def test_it_begins_with_the_whole_reasoning_and_drops_it_from_its_beginning() -> None:
    kit = kit_of()
    whole = "kind shirt shirt match ; colour red blue conflict </think> <L2>"
    said = [trained(at(stage, kit)) for stage in range(STAGES + 1)]
    assert said[0] == whole
    assert all(whole.endswith(after) and len(after) <= len(before) for before, after in pairwise(said))
    assert len(set(said)) > 8
    assert said[STAGES] == "<L2>"


@pytest.mark.parametrize("prefix", [(), ("label",)])
def test_it_ends_as_label_first_training_is(prefix: tuple[str, ...]) -> None:
    kit, record = kit_of(*prefix), pair(1, trace=STEPS)
    assert at(STAGES, kit) == answered(kit)(kit.render(record, NO_RULES), record)


def test_a_forced_prefix_stands_between_reasoning_and_label() -> None:
    assert trained(at(0, kit_of("label"))).endswith("conflict </think> label <L2>")


def test_a_pair_without_reasoning_is_asked_for_its_label() -> None:
    kit = kit_of()
    assert trained(at(STAGES, kit, trace=[])) == "<L2>"


def settings(**changes: Any) -> SftSettings:
    found = {"optimizer": Optimizer(max_steps=200, batch_size=5), "layout": Layout.LABEL_FIRST, "hand_over": "0.8"}
    return SftSettings(**(found | changes))


def test_the_stages_follow_each_other_over_their_share_of_the_steps() -> None:
    order = sft_order([pair(n) for n in range(10)], settings())
    stages = [{number // 10 for number in order.batch(step)} for step in range(200)]
    assert stages == [{min(STAGES, step // 10)} for step in range(200)]


def test_every_rank_is_at_the_same_stage_and_pairs_are_those_of_the_plain_order() -> None:
    pairs = [pair(n) for n in range(10)]
    order, plain = sft_order(pairs, settings()), sft_order(pairs, settings(hand_over="0"))
    assert [number % 10 for number in order.batch(7)] == plain.batch(7)
    assert order.share(7, 0, 5) + order.share(7, 1, 5) == order.batch(7)[:2]


@pytest.mark.parametrize("changes", [{"layout": Layout.THINK_FIRST}, {"curriculum_share": "0.5"}])
def test_it_goes_with_label_first_alone(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="handOver: goes with layout LabelFirst and without curriculumShare"):
        settings(**changes)
