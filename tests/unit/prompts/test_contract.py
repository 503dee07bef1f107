"""A contract that cannot be served is refused, with the field and the remedy."""

import json

import pytest
from pydantic import ValidationError

from lore_core.jobs import RuleMode
from lore_core.prompts import ContractError, PromptLayout, ServingContract, TextEncoder, build_contract
from lore_core.prompts.templates import spelled_verbaliser


def document(encoder: TextEncoder) -> dict:
    return json.loads(build_contract(encoder, PromptLayout.THINK_FIRST, RuleMode.NONE, 96).to_bytes())


QUERY = {"kind": "field", "field": "query"}
TITLE = {"kind": "field", "field": "title"}
RULES = {"kind": "field", "field": "itemRules"}
OVERLAP = {"kind": "field", "field": "overlap"}


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
        (
            ("towers",),
            {"queryTemplate": [QUERY], "scale": "1", "cutPoints": ["1", "2", "3"]},
            "towers: given for layout TwoTower",
        ),
    ],
)
def test_a_bad_contract_is_refused(
    word_encoder: TextEncoder, path: tuple[str, ...], value: object, message: str
) -> None:
    refused(document(word_encoder), path, value, message)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("towers",), None, "towers: given for layout TwoTower"),
        (("towers", "scale"), "0", "towers.scale: must be above 0"),
        (("towers", "scale"), 10.0, "valid string"),
        (("towers", "cutPoints"), ["1", "1", "2"], "towers.cutPoints: must rise"),
        (("towers", "cutPoints"), ["3", "2", "1"], "towers.cutPoints: must rise"),
        (("towers", "queryTemplate"), [QUERY, TITLE], "towers.queryTemplate: shows query and queryRules alone"),
        (("towers", "queryTemplate"), [QUERY, QUERY], "must show the query exactly once"),
        (("template",), [QUERY, TITLE], "template: of layout TwoTower shows the item alone"),
        (("template",), [TITLE, RULES], "template: of layout TwoTower shows the item alone"),
        (("template",), [TITLE, OVERLAP], "template: of layout TwoTower shows the item alone"),
    ],
)
def test_a_bad_contract_of_a_two_tower_is_refused(
    bert_encoder: TextEncoder, path: tuple[str, ...], value: object, message: str
) -> None:
    contract = build_contract(bert_encoder, PromptLayout.TWO_TOWER, RuleMode.NONE, 96)
    refused(json.loads(contract.to_bytes()), path, value, message)


def refused(contract: dict, path: tuple[str, ...], value: object, message: str) -> None:
    target = contract
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    with pytest.raises(ValidationError, match=message):
        ServingContract.model_validate(contract)


def test_bytes_survive_a_round_trip(word_encoder: TextEncoder) -> None:
    contract = build_contract(word_encoder, PromptLayout.THINK_FIRST, RuleMode.RETRIEVED, 96)
    assert ServingContract.model_validate_json(contract.to_bytes()).to_bytes() == contract.to_bytes()


def test_language_models_write_their_label_and_students_with_a_head_do_not() -> None:
    assert [layout.value for layout in PromptLayout if layout.writes] == ["LabelFirst", "ThinkFirst"]


def test_the_head_of_a_two_tower_is_part_of_the_contracts_bytes(bert_encoder: TextEncoder) -> None:
    contract = build_contract(bert_encoder, PromptLayout.TWO_TOWER, RuleMode.RETRIEVED, 96)
    assert ServingContract.model_validate_json(contract.to_bytes()) == contract
    assert contract.towers is not None
    other = contract.model_copy(update={"towers": contract.towers.model_copy(update={"scale": "10.5"})})
    assert other.to_bytes() != contract.to_bytes()


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
