"""A contract that cannot be served is refused, with the field and the remedy."""

import json

import pytest
from pydantic import ValidationError

from lore_core.jobs import RuleMode
from lore_core.prompts import ContractError, PromptLayout, ServingContract, TextEncoder, build_contract
from lore_core.prompts.templates import spelled_verbaliser


def document(encoder: TextEncoder) -> dict:
    return json.loads(build_contract(encoder, PromptLayout.THINK_FIRST, RuleMode.NONE, 96).to_bytes())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("truncation", "cutOrder"), ["query"], "the query is never cut"),
        (("verbaliser", "tokenIds"), [1, 1, 2, 3], "four different tokens"),
        (("trace",), None, "trace: given for layout ThinkFirst"),
        (("calibration", "temperature"), "0", "must be above 0"),
        (("template",), [{"kind": "text", "text": "x"}], "must show the query exactly once"),
        (("labelSchema",), "v1", "labelSchema"),
        (("surprise",), 1, "surprise"),
    ],
)
def test_a_bad_contract_is_refused(
    word_encoder: TextEncoder, path: tuple[str, ...], value: object, message: str
) -> None:
    contract = document(word_encoder)
    target = contract
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    with pytest.raises(ValidationError, match=message):
        ServingContract.model_validate(contract)


def test_bytes_survive_a_round_trip(word_encoder: TextEncoder) -> None:
    contract = build_contract(word_encoder, PromptLayout.THINK_FIRST, RuleMode.RETRIEVED, 96)
    assert ServingContract.model_validate_json(contract.to_bytes()).to_bytes() == contract.to_bytes()


def test_spelled_labels_share_a_forced_prefix_and_differ_at_the_last_token() -> None:
    verbaliser = spelled_verbaliser([[5, 1], [5, 2], [5, 3], [5, 4]])
    assert (verbaliser.prefix_ids, verbaliser.token_ids) == ((5,), (1, 2, 3, 4))


@pytest.mark.parametrize(
    "spellings",
    [
        [[5, 1], [5, 2], [5, 3], [5, 3, 4]],
        [[5, 1, 9], [5, 2, 9], [5, 3, 9], [5, 4, 9]],
        [[1, 1], [2, 2], [3, 3], [4, 4]],
        [[5, 1], [5, 1], [5, 2], [5, 3]],
    ],
)
def test_labels_that_do_not_differ_at_exactly_one_token_are_refused(spellings: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"exactly one token|four different tokens"):
        spelled_verbaliser(spellings)


def test_a_layout_the_tokenizer_cannot_carry_is_refused(bert_encoder: TextEncoder) -> None:
    with pytest.raises(ContractError, match=r"layout ThinkFirst: .*<think>"):
        build_contract(bert_encoder, PromptLayout.THINK_FIRST, RuleMode.NONE, 96)
