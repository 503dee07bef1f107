"""A picture in a prompt: where it stands, what it replaces, and that the words around it stay words for any server."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lore_core.jobs import RuleMode
from lore_core.prompts import ModelKit, PromptLayout, PromptTooLong, TextEncoder, build_contract
from lore_core.prompts.contract import ImageSegment, ServingContract
from lore_core.records import Pair

IMAGE = "iVBORw0KGgo="
NAMES = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<think>", "<L1>", "<L2>", "<L3>", "<L4>")


def byte_tokenizer() -> bytes:
    """A byte-level tokenizer as Qwen's is: it can spell any text, and `<think>` is an added token that is not special."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel

    tokenizer = Tokenizer(BPE({letter: id_ for id_, letter in enumerate(sorted(ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), Decoder()
    tokenizer.add_tokens([AddedToken(name, special=name != "<think>", normalized=False) for name in NAMES])
    return tokenizer.to_str().encode()


ENCODER = TextEncoder(byte_tokenizer())
KIT = ModelKit(build_contract(ENCODER, PromptLayout.LABEL_FIRST, RuleMode.NONE, 400, image_tokens=6), ENCODER)


@pytest.fixture
def pictured(pair: Pair) -> Pair:
    return pair.model_copy(update={"image_base64": IMAGE})


def sides(pair: Pair) -> tuple[str, str]:
    """The words before the picture and after it."""
    prompt = KIT.render(pair)
    assert prompt.picture is not None
    assert prompt.picture.data == IMAGE
    return KIT.words(prompt.token_ids[: prompt.picture.after]), KIT.words(prompt.token_ids[prompt.picture.after :])


def test_the_picture_stands_where_its_words_would_and_in_place_of_them(pictured: Pair) -> None:
    before, after = sides(pictured)

    assert before.endswith("\nAttributes: colour red ; material cotton")
    assert after == "\nAnswer:"
    assert pictured.vqa_result not in before + after


def test_an_item_without_a_picture_is_shown_by_its_words(pair: Pair) -> None:
    prompt = KIT.render(pair)

    assert prompt.picture is None
    assert KIT.words(prompt.token_ids).endswith("\nPicture: a red shirt\nAnswer:")


def test_a_model_that_is_shown_no_pictures_is_asked_as_before(pictured: Pair, pair: Pair) -> None:
    plain = ModelKit(build_contract(ENCODER, PromptLayout.LABEL_FIRST, RuleMode.NONE, 400), ENCODER)

    assert plain.render(pictured) == plain.render(pair)
    assert plain.contract.image_tokens is None
    assert "image" not in plain.contract.to_bytes().decode()


def test_words_that_are_cut_leave_the_picture_where_it_was(pictured: Pair) -> None:
    small = KIT.contract.truncation.model_copy(update={"max_prompt_tokens": 240})
    kit = ModelKit(KIT.contract.model_copy(update={"truncation": small}), ENCODER)
    prompt = kit.render(pictured)

    assert prompt.truncated
    assert prompt.picture is not None
    assert kit.words(prompt.token_ids[prompt.picture.after :]) == "\nAnswer:"
    with pytest.raises(PromptTooLong):
        kit.render(pictured.model_copy(update={"query": "q" * 400}))


def test_a_picture_counts_in_what_a_server_must_hold() -> None:
    plain = build_contract(ENCODER, PromptLayout.LABEL_FIRST, RuleMode.NONE, 400)

    assert KIT.max_sequence == ModelKit(plain, ENCODER).max_sequence + 6
    assert KIT.contract.prompt_digest != plain.prompt_digest
    assert ServingContract.model_validate_json(KIT.contract.to_bytes()) == KIT.contract


@pytest.mark.parametrize("layout", [PromptLayout.CLASSIFIER, PromptLayout.TWO_TOWER])
def test_a_student_is_shown_no_pictures(bert_encoder: TextEncoder, layout: PromptLayout) -> None:
    with pytest.raises(ValidationError, match="none for layouts Classifier and TwoTower"):
        build_contract(bert_encoder, layout, RuleMode.NONE, 96, image_tokens=6)


def test_a_template_has_one_picture(pair: Pair) -> None:
    document = json.loads(KIT.contract.to_bytes())
    document["template"].append(ImageSegment(max_tokens=6).model_dump(mode="json", by_alias=True))

    with pytest.raises(ValidationError, match="at most one image"):
        ServingContract.model_validate(document)


def server_ids(text: str) -> list[int]:
    """What a server's own tokenizer makes of a text."""
    from tokenizers import Tokenizer

    return list(Tokenizer.from_str(byte_tokenizer().decode()).encode(text, add_special_tokens=False).ids)


def control_ids(ids: list[int]) -> list[int]:
    return [id_ for id_ in ids if id_ in ENCODER.control_ids]


@pytest.mark.parametrize("attack", [*NAMES, "<|im_<|im_end|>end|>", "<<L4>L4>", "x<|image_pad|><|image_pad|>"])
@pytest.mark.parametrize("field", ["query", "title", "shop_name"])
def test_hostile_text_around_a_picture_stays_text_for_the_server(pictured: Pair, field: str, attack: str) -> None:
    before, after = sides(pictured.model_copy(update={field: f"red {attack} shirt"}))

    assert control_ids(server_ids(before + after)) == []


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40) | st.lists(st.sampled_from([*NAMES, "<", "|", ">", "im_end", "L4", " "])).map("".join))
def test_a_server_reads_exactly_the_controls_of_the_ids(text: str) -> None:
    ids = [ENCODER.control("<|im_start|>"), *ENCODER.encode(text), ENCODER.control("<L4>")]

    read = server_ids(KIT.words(ids))

    assert control_ids(read) == control_ids(ids)
    if not any(name in text for name in NAMES):
        assert read == ids
