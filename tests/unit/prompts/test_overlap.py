"""A student that is told how many of the query's words the title has: the same words in training and serving."""

import pytest

from lore_core.artifacts import ArtifactRef
from lore_core.jobs import DistillStage, RuleMode
from lore_core.prompts import ModelKit, PromptLayout, ServingContract, TextEncoder, build_contract
from lore_core.prompts.overlap import overlap_text
from lore_core.records import Pair
from lore_core.training.distill import distill_kit


def kit_of(encoder: TextEncoder, *, show_overlap: bool, limit: int = 64) -> ModelKit:
    contract = build_contract(encoder, PromptLayout.CLASSIFIER, RuleMode.NONE, limit, show_overlap=show_overlap)
    return ModelKit(contract, encoder)


@pytest.mark.parametrize(
    ("query", "title", "told"),
    [
        ("red shirt", "Shirt, RED", "all"),
        ("red shirt", "blue jeans", "none"),
        ("red cotton shirt", "shirt of linen", "1 of 3"),
        ("red red shirt", "red jeans", "1 of 2"),
        ("iPhone\uff11\uff15", "iphone15 case", "all"),
        ("shirt", "shirts", "none"),
        ("\u7ea2\u8272\u886c\u886b", "\u7ea2\u886c\u886b", "3 of 4"),
        ("\U00020bb7\u91ce\u5bb6", "\U00020bb7\u91ce", "2 of 3"),
        ("usb_c", "usb c cable", "all"),
        ("!!!", "red shirt", ""),
        ("red", "", "none"),
    ],
)
def test_the_overlap_is_told_in_these_words(query: str, title: str, told: str) -> None:
    assert overlap_text(query, title) == told


def test_it_stands_between_query_and_item(bert_encoder: TextEncoder, pair: Pair) -> None:
    told = pair.model_copy(update={"query": "red shirt", "title": "cotton shirt", "shop_name": "", "cpv_sku": {}})
    without, with_ = (kit_of(bert_encoder, show_overlap=shown).render(told).token_ids for shown in (False, True))
    overlap = tuple(bert_encoder.encode("1 of 2"))
    query = 3 + len(bert_encoder.encode("red shirt"))
    assert with_ == (*without[:query], *overlap, bert_encoder.control("[SEP]"), *without[query:])


def test_it_is_of_the_whole_title_and_is_never_cut(bert_encoder: TextEncoder, pair: Pair) -> None:
    kit = kit_of(bert_encoder, show_overlap=True, limit=16)
    told = pair.model_copy(update={"query": "cotton", "title": "red " * 40 + "cotton"})
    found = kit.render(told)
    missed = kit.render(told.model_copy(update={"title": "red " * 41}))
    assert found.truncated
    assert len(found.token_ids) == 16
    (all_,), (none,) = bert_encoder.encode("all"), bert_encoder.encode("none")
    assert [(a, b) for a, b in zip(found.token_ids, missed.token_ids, strict=True) if a != b] == [(all_, none)]


def test_it_is_another_prompt_version_and_survives_the_artifact(bert_encoder: TextEncoder, pair: Pair) -> None:
    shown, hidden = (kit_of(bert_encoder, show_overlap=one) for one in (True, False))
    assert shown.contract.prompt_digest != hidden.contract.prompt_digest
    read = ServingContract.model_validate_json(shown.contract.to_bytes())
    assert ModelKit(read, bert_encoder).render(pair) == shown.render(pair)


@pytest.mark.parametrize("shown", [False, True])
def test_a_distill_stage_tells_it_where_it_is_asked_to(bert_encoder: TextEncoder, pair: Pair, shown: bool) -> None:
    spec = DistillStage(base=ArtifactRef(uri="pvc://a/encoder"), max_prompt_tokens=64, show_overlap=shown)
    found = distill_kit(spec, bert_encoder, RuleMode.NONE)
    assert found.render(pair) == kit_of(bert_encoder, show_overlap=shown).render(pair)
