"""One renderer: what a model is given for a record, to the token."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from lore_core.jobs import RuleMode
from lore_core.prompts import (
    CONTRACT_NAME,
    ContractError,
    ModelKit,
    PromptLayout,
    PromptRules,
    PromptTooLong,
    TextEncoder,
    build_contract,
)
from lore_core.prompts.contract import ControlSegment
from lore_core.records import Pair

RULES = PromptRules(query=("market north red counts as blue",), item=("cotton near jeans",))


def kit_of(encoder: TextEncoder, layout: PromptLayout = PromptLayout.THINK_FIRST, limit: int = 96) -> ModelKit:
    return ModelKit(build_contract(encoder, layout, RuleMode.RETRIEVED, limit), encoder)


def test_the_think_first_prompt_is_frozen(word_encoder: TextEncoder, pair: Pair) -> None:
    prompt = kit_of(word_encoder).render(pair, RULES)
    assert word_encoder.decode(prompt.token_ids) == (
        "<bos> <rules> market north red counts as blue <query> red shirt for men <item> cotton shirt acme shop "
        "colour red ; material cotton a red shirt cotton near jeans <think>"
    )


def test_the_classifier_prompt_is_frozen(bert_encoder: TextEncoder, pair: Pair) -> None:
    prompt = kit_of(bert_encoder, PromptLayout.CLASSIFIER).render(pair, PromptRules(query=("red",)))
    assert prompt.token_ids == (2, 9, 3, 9, 10, 1, 1, 3, 11, 10, 1, 1, 1, 9, 13, 1, 11, 1, 9, 10, 3)


def test_the_sequences_of_a_two_tower_are_frozen(bert_encoder: TextEncoder, pair: Pair) -> None:
    query, item = kit_of(bert_encoder, PromptLayout.TWO_TOWER).render(pair, PromptRules(query=("red",))).towers
    assert query == (2, 9, 10, 1, 1, 13, 9, 3)
    assert item == (2, 11, 10, 1, 1, 1, 9, 13, 1, 11, 1, 9, 10, 3)


@pytest.mark.parametrize("limit", range(16, 30))
def test_of_a_two_tower_the_query_is_kept_whole_and_each_sequence_fits(
    bert_encoder: TextEncoder, pair: Pair, limit: int
) -> None:
    kit = kit_of(bert_encoder, PromptLayout.TWO_TOWER, limit)
    long = pair.model_copy(update={"query": "red " * 10, "title": "cotton " * 20})
    rules = PromptRules(query=("shirt " * 6,))
    prompt = kit.render(long, rules)
    query, item = prompt.towers
    assert (query[:11], item[0]) == ((2, *[9] * 10), 2)
    assert (len(query), len(item)) == (min(limit, 19), limit)
    assert prompt.truncated
    assert kit.render(long.model_copy(update={"title": "red"}), rules).truncated == (limit < 19)


def test_what_a_two_tower_encodes_of_an_item_depends_on_nothing_of_the_query(
    bert_encoder: TextEncoder, pair: Pair
) -> None:
    kit = kit_of(bert_encoder, PromptLayout.TWO_TOWER, 16)
    other = pair.model_copy(update={"query": "shirt"})
    assert kit.render(pair, RULES).towers[1] == kit.render(other, PromptRules(query=("red",))).towers[1]
    assert kit.render(pair, RULES).towers[0] == kit.render(pair.model_copy(update={"title": "red"}), RULES).towers[0]
    with pytest.raises(PromptTooLong, match=r"query: .*truncation\.maxPromptTokens=16"):
        kit.render(pair.model_copy(update={"query": "red " * 40}))


def test_a_control_that_only_the_querys_sequence_needs_is_missed_too(bert_encoder: TextEncoder) -> None:
    contract = kit_of(bert_encoder, PromptLayout.TWO_TOWER).contract
    assert contract.towers is not None
    asked = (ControlSegment(token="[Q]"), *contract.towers.query_template)
    towers = contract.towers.model_copy(update={"query_template": asked})
    with pytest.raises(ContractError, match=r"template: the tokenizer has no control tokens \['\[Q\]'\]"):
        ModelKit(contract.model_copy(update={"towers": towers}), bert_encoder)


def test_the_prompt_digest_is_frozen(word_encoder: TextEncoder) -> None:
    unbound = {"label_schema": "sha256:" + "0" * 64, "tokenizer": "sha256:" + "0" * 64}
    contract = kit_of(word_encoder).contract.model_copy(update=unbound)
    assert contract.prompt_digest == "sha256:156543872c51f6a41509d93ae29433c6b82e9aefb6b6932c880bb64f657fb727"


def test_calibrating_a_model_does_not_change_its_prompt_version(word_encoder: TextEncoder) -> None:
    contract = kit_of(word_encoder).contract
    calibrated = contract.model_copy(
        update={"calibration": contract.calibration.model_copy(update={"temperature": "2.0"})}
    )
    assert calibrated.prompt_digest == contract.prompt_digest


def test_pairs_of_one_query_share_everything_up_to_the_item(word_encoder: TextEncoder, pair: Pair) -> None:
    kit = kit_of(word_encoder)
    one = kit.render(pair, RULES).token_ids
    other = kit.render(pair.model_copy(update={"title": "blue jeans"}), RULES).token_ids
    shared = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    assert word_encoder.decode(one[:shared]).endswith("<query> red shirt for men <item>")


@pytest.mark.parametrize("limit", range(16, 32))
def test_a_long_prompt_keeps_the_query_and_fits(word_encoder: TextEncoder, pair: Pair, limit: int) -> None:
    prompt = kit_of(word_encoder, limit=limit).render(pair, RULES)
    text = word_encoder.decode(prompt.token_ids)
    assert "<query> red shirt for men <item>" in text
    assert text.endswith("<think>")
    assert len(prompt.token_ids) == min(limit, 30)
    assert prompt.truncated == (limit < 30)


def test_fields_are_cut_in_the_contracts_order(word_encoder: TextEncoder, pair: Pair) -> None:
    texts = [
        word_encoder.decode(kit_of(word_encoder, limit=n).render(pair, RULES).token_ids) for n in (30, 27, 24, 22, 19)
    ]
    last_words = [text.removesuffix(" <think>").split(" <item> ")[1] for text in texts]
    assert last_words == [
        "cotton shirt acme shop colour red ; material cotton a red shirt cotton near jeans",
        "cotton shirt acme shop colour red ; material cotton a red shirt",
        "cotton shirt acme shop colour red ; material cotton",
        "cotton shirt acme shop colour red ;",
        "cotton shirt acme shop",
    ]


def test_a_query_that_cannot_fit_is_refused_by_name(word_encoder: TextEncoder, pair: Pair) -> None:
    with pytest.raises(PromptTooLong, match=r"query: .*maxPromptTokens=16"):
        kit_of(word_encoder, limit=16).render(pair.model_copy(update={"query": "red " * 40}))


def test_a_kit_read_back_from_its_folder_renders_the_same(
    model_folder: Path, word_encoder: TextEncoder, pair: Pair
) -> None:
    kit = kit_of(word_encoder)
    (model_folder / CONTRACT_NAME).write_bytes(kit.contract.to_bytes())
    assert ModelKit.load(model_folder).render(pair, RULES) == kit.render(pair, RULES)


def test_another_tokenizer_than_the_contracts_is_refused(
    model_folder: Path, word_encoder: TextEncoder, bert_encoder: TextEncoder
) -> None:
    (model_folder / CONTRACT_NAME).write_bytes(kit_of(bert_encoder, PromptLayout.CLASSIFIER).contract.to_bytes())
    with pytest.raises(ContractError, match="tokenizer: digest is"):
        ModelKit.load(model_folder)


def test_a_broken_contract_names_file_and_field(model_folder: Path, word_encoder: TextEncoder) -> None:
    text = kit_of(word_encoder).contract.to_bytes().replace(b'"temperature":"1.0"', b'"temperature":"warm"')
    (model_folder / CONTRACT_NAME).write_bytes(text)
    with pytest.raises(ContractError, match=r"lore-contract\.json: calibration\.temperature"):
        ModelKit.load(model_folder)


def test_the_label_follows_the_forced_prefix_in_a_label_first_prompt(word_encoder: TextEncoder, pair: Pair) -> None:
    kit = kit_of(word_encoder, PromptLayout.LABEL_FIRST)
    spelled = kit.contract.verbaliser.model_copy(update={"prefix_ids": (7, 8)})
    forced = ModelKit(kit.contract.model_copy(update={"verbaliser": spelled}), word_encoder)
    assert forced.render(pair).token_ids == (*kit.render(pair).token_ids, 7, 8)


@pytest.mark.parametrize("trace", [(40, 41), (40, 41, 9), (40, 41, 9, 50)])
def test_the_label_position_of_a_trace_is_right_after_its_stop(
    word_encoder: TextEncoder, pair: Pair, trace: tuple[int, ...]
) -> None:
    kit = kit_of(word_encoder)
    assert word_encoder.control("</think>") == 9
    prompt = kit.render(pair)
    assert kit.label_position(prompt, trace) == (*prompt.token_ids, 40, 41, 9)
    assert kit.trace_text(trace) == word_encoder.decode((40, 41))


def test_rendering_needs_no_weights_library() -> None:
    code = (
        "import sys; import lore_core.prompts; "
        "print([m for m in ('torch', 'transformers', 'vllm', 'deepspeed') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_order_of_the_template_is_rules_query_item_item_rules_label(word_encoder: TextEncoder, pair: Pair) -> None:
    text = word_encoder.decode(kit_of(word_encoder).render(pair, RULES).token_ids)
    places = [text.index(part) for part in ("counts as", "for men", "acme", "near jeans", "<think>")]
    assert all(before < after for before, after in pairwise(places))
