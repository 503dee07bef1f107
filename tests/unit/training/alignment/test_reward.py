"""The reward of a sampled answer, and how an answer is read."""

import pytest

from lore_core.jobs import RuleMode
from lore_core.prompts import ContractError, ModelKit, PromptLayout, TextEncoder, build_contract
from lore_core.records import Label
from lore_core.training.alignment.reward import RewardWeights, label_reward, reward, reward_matrix
from lore_core.training.alignment.rollouts import Rollout, read_rollout, read_steps
from lore_core.training.tokenizer import build_tokenizer, vocabulary

ENCODER = TextEncoder(build_tokenizer(vocabulary(["kind kettle lamp match colour red blue r01 conflict near ; l4"])))
KIT = ModelKit(build_contract(ENCODER, PromptLayout.THINK_FIRST, RuleMode.RETRIEVED, 64), ENCODER)
STOP = ENCODER.control("</think>")
TRACE = "kind kettle kettle match ; colour red blue r01 conflict"
WEIGHTS = RewardWeights(length_from=10, length_to=20)


def sampled(trace: str = TRACE, label: Label | None = Label.L2, tokens: int = 10) -> Rollout:
    return Rollout(trace, label, tokens)


def parts(rollout: Rollout, gold: Label = Label.L2, shown: tuple[str, ...] = ("r01",)) -> tuple[float, ...]:
    found = reward(rollout, gold, shown, WEIGHTS)
    return found.label, found.format, found.length, found.citation


def test_an_answer_is_read_at_its_stop_and_label_token() -> None:
    label = KIT.contract.verbaliser.token_ids[1]
    ids = [*ENCODER.encode(TRACE), STOP, label]
    assert read_rollout(KIT, ids) == Rollout(TRACE, Label.L2, len(ids))


@pytest.mark.parametrize("tail", [[], [STOP], [STOP, *ENCODER.encode("l4")], [KIT.contract.verbaliser.token_ids[3]]])
def test_an_answer_without_a_label_right_after_its_stop_has_none(tail: list[int]) -> None:
    assert read_rollout(KIT, [*ENCODER.encode(TRACE), *tail]).label is None


def test_only_think_first_models_have_rollouts() -> None:
    kit = ModelKit(build_contract(ENCODER, PromptLayout.LABEL_FIRST, RuleMode.NONE, 64), ENCODER)
    with pytest.raises(ContractError, match="has none, so there is no rollout"):
        read_rollout(kit, [1])


def test_steps_are_read_as_training_words_them() -> None:
    steps = read_steps(TRACE)
    assert steps is not None
    assert [(step.dimension, step.rule, step.verdict) for step in steps] == [
        ("kind", "", "match"),
        ("colour", "r01", "conflict"),
    ]
    assert read_steps("kind kettle") is None
    assert read_steps(TRACE + " ; nonsense") is None


def test_a_sound_answer_gets_everything() -> None:
    assert parts(sampled()) == (1.0, 1.0, 0.0, 1.0)


def test_the_labels_reward_falls_with_the_distance() -> None:
    rewards = [label_reward(said, Label.L4) for said in Label]
    assert rewards == sorted(rewards)
    assert (rewards[0], rewards[-1]) == (-1.0, 1.0)
    assert label_reward(Label.L3, Label.L4) > label_reward(Label.L1, Label.L4)
    assert (reward_matrix() == reward_matrix().T).all()


@pytest.mark.parametrize(
    ("rollout", "shown", "expected"),
    [
        (sampled(label=None), ("r01",), (-1.0, -1.0, 0.0, 1.0)),
        (sampled(label=Label.L4), ("r01",), (pytest.approx(-1 / 3), 0.0, 0.0, 1.0)),
        (sampled(trace="no steps"), ("r01",), (1.0, 0.0, 0.0, 0.0)),
        (sampled(tokens=15), ("r01",), (1.0, 1.0, -0.5, 1.0)),
        (sampled(tokens=900), ("r01",), (1.0, 1.0, -1.0, 1.0)),
        (sampled(), (), (1.0, 1.0, 0.0, -1.0)),
        (sampled(trace="kind kettle lamp other"), ("r01",), (1.0, 0.0, 0.0, 0.0)),
    ],
)
def test_each_part_sees_its_own_mistake(rollout: Rollout, shown: tuple[str, ...], expected: tuple[float, ...]) -> None:
    assert parts(rollout, shown=shown) == expected


@pytest.mark.parametrize("name", ["label", "format", "length", "citation"])
def test_each_part_can_be_switched_off(name: str) -> None:
    bad = sampled(label=None, tokens=99)
    found = reward(bad, Label.L2, (), WEIGHTS)
    without = RewardWeights(**{name: 0.0}, length_from=10, length_to=20)  # type: ignore[arg-type]
    assert found.total(without) > found.total(WEIGHTS)


def test_lengths_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="length_from 30 must be above 0 and below length_to 20"):
        RewardWeights(length_from=30, length_to=20)
