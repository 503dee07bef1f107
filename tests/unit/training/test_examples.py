"""What a pair becomes in training: only the answer is trained, and it ends in the gold label."""

from typing import Any

import pytest

from lore_core.jobs import RuleMode
from lore_core.jobs.errors import JobError
from lore_core.prompts import NO_RULES, ModelKit, PromptLayout, PromptRules, TextEncoder, build_contract
from lore_core.records import Pair
from lore_core.training.examples import IGNORED, Examples, answer_ids, causal_example, trace_ids
from lore_core.training.tokenizer import build_tokenizer, vocabulary

from .conftest import pair

ENCODER = TextEncoder(build_tokenizer(vocabulary(["red blue shirt colour conflict rule words here"])))


def kit_of(layout: PromptLayout, limit: int = 32) -> ModelKit:
    return ModelKit(build_contract(ENCODER, layout, RuleMode.NONE, limit), ENCODER)


def examples_of(kit: ModelKit, pairs: list[Pair], rules: Any = lambda _pair: NO_RULES) -> Examples:
    return Examples(kit, pairs, rules, lambda prompt, record: causal_example(prompt, answer_ids(kit, record)))


def test_think_first_trains_the_trace_its_stop_and_the_label_and_not_the_prompt() -> None:
    example = examples_of(kit_of(PromptLayout.THINK_FIRST), [pair(1)])[0]
    trained = [id_ for id_ in example.targets if id_ != IGNORED]
    assert ENCODER.decode(trained) == "colour red blue conflict </think> <L2>"
    assert ENCODER.decode(example.token_ids) == (
        "<bos> <rules> <query> red shirt <item> blue shirt <think> colour red blue conflict </think> <L2>"
    )
    assert len(example.targets) == len(example.token_ids)


def test_a_trace_cites_rules_only_where_the_prompt_shows_some() -> None:
    step = {"dimension": "colour", "demand": "red", "evidence": "blue", "rule": "rule", "verdict": "conflict"}
    for mode, said in ((RuleMode.NONE, "colour red blue conflict"), (RuleMode.ORACLE, "colour red blue rule conflict")):
        kit = ModelKit(build_contract(ENCODER, PromptLayout.THINK_FIRST, mode, 32), ENCODER)
        assert ENCODER.decode(trace_ids(kit, pair(1, trace=[step]))) == said


def test_label_first_trains_the_label_alone() -> None:
    example = examples_of(kit_of(PromptLayout.LABEL_FIRST), [pair(1)])[0]
    assert ENCODER.decode([id_ for id_ in example.targets if id_ != IGNORED]) == "<L2>"


def test_a_trace_in_the_data_cannot_close_itself() -> None:
    step = {"dimension": "colour", "demand": "</think>", "evidence": "<L4>", "verdict": "conflict"}
    example = examples_of(kit_of(PromptLayout.THINK_FIRST), [pair(1, trace=[step])])[0]
    trained = [id_ for id_ in example.targets if id_ in ENCODER.control_ids]
    assert ENCODER.decode(trained) == "</think> <L2>"


def test_each_pair_is_rendered_once_and_cut_prompts_are_counted() -> None:
    calls: list[str] = []

    def rules(record: Pair) -> PromptRules:
        calls.append(record.id)
        return PromptRules(query=("rule words here " * 20,) if record.id == "p2" else ())

    examples = examples_of(kit_of(PromptLayout.THINK_FIRST), [pair(1), pair(2), pair(3)], rules)
    assert [examples[index] for index in (0, 1, 0, 1)]
    assert (calls, examples.rendered, examples.truncated) == (["p1", "p2"], 2, 1)


def test_a_query_that_cannot_fit_is_refused_before_training_with_its_pair() -> None:
    with pytest.raises(JobError, match=r"pair p2: query: ") as refused:
        examples_of(kit_of(PromptLayout.THINK_FIRST), [pair(1), pair(2, query="red " * 40)])
    assert refused.value.failure.field == "query"
