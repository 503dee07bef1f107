"""Building a contract for a base model: which template its tokenizer can carry, and how the labels are spelled in it."""

from typing import Final

from lore_core.jobs.config import RuleMode
from lore_core.prompts.contract import (
    ContractError,
    ControlSegment,
    FieldSegment,
    ImageSegment,
    LabelIds,
    PromptField,
    PromptLayout,
    Segment,
    ServingContract,
    TextSegment,
    Towers,
    Trace,
    Truncation,
    Verbaliser,
)
from lore_core.prompts.encoder import TextEncoder
from lore_core.records.label import label_schema_digest

BEGIN: Final = "<bos>"
QUERY: Final = "<query>"
ITEM: Final = "<item>"
RULES: Final = "<rules>"
ANSWER: Final = "<answer>"
THINK: Final = "<think>"
THINK_STOP: Final = "</think>"
LABEL_TOKENS: Final = ("<L1>", "<L2>", "<L3>", "<L4>")
CONTROL_TOKENS: Final = (BEGIN, RULES, QUERY, ITEM, ANSWER, THINK, THINK_STOP, *LABEL_TOKENS)

MAX_TRACE_TOKENS: Final = 48
_INSTRUCTIONS: Final = (
    "Judge how well the item fits the query. L4: every demand is met. L3: a demand is met only nearly. "
    "L2: a demand conflicts. L1: another category."
)

# Instructions, rules found by query and market, query, item, rules the item triggers: pairs of one query share the prefix.
_ITEM: Final[tuple[Segment, ...]] = (
    FieldSegment(field=PromptField.TITLE),
    FieldSegment(field=PromptField.SHOP),
    FieldSegment(field=PromptField.ATTRIBUTES),
    FieldSegment(field=PromptField.PICTURE),
)


def _control_template(begin: str) -> tuple[Segment, ...]:
    return (
        ControlSegment(token=begin),
        ControlSegment(token=RULES),
        FieldSegment(field=PromptField.QUERY_RULES),
        ControlSegment(token=QUERY),
        FieldSegment(field=PromptField.QUERY),
        ControlSegment(token=ITEM),
        *_ITEM,
        FieldSegment(field=PromptField.ITEM_RULES),
    )


_WORDED: Final[tuple[Segment, ...]] = (
    TextSegment(text=_INSTRUCTIONS),
    FieldSegment(field=PromptField.QUERY_RULES, before="\nRules: "),
    FieldSegment(field=PromptField.QUERY, before="\nQuery: "),
    FieldSegment(field=PromptField.TITLE, before="\nTitle: "),
    FieldSegment(field=PromptField.SHOP, before="\nShop: "),
    FieldSegment(field=PromptField.ATTRIBUTES, before="\nAttributes: "),
    FieldSegment(field=PromptField.PICTURE, before="\nPicture: "),
    FieldSegment(field=PromptField.ITEM_RULES, before="\nItem rules: "),
    TextSegment(text="\nAnswer:"),
)

_ASKED: Final[tuple[Segment, ...]] = (
    ControlSegment(token="[CLS]"),
    FieldSegment(field=PromptField.QUERY_RULES),
    ControlSegment(token="[SEP]"),
    FieldSegment(field=PromptField.QUERY),
    ControlSegment(token="[SEP]"),
)
_OVERLAP: Final[tuple[Segment, ...]] = (FieldSegment(field=PromptField.OVERLAP), ControlSegment(token="[SEP]"))
_OFFERED: Final[tuple[Segment, ...]] = (
    *_ITEM,
    FieldSegment(field=PromptField.ITEM_RULES),
    ControlSegment(token="[SEP]"),
)

_QUERY_TOWER: Final[tuple[Segment, ...]] = (
    ControlSegment(token="[CLS]"),
    FieldSegment(field=PromptField.QUERY),
    FieldSegment(field=PromptField.QUERY_RULES, before=";"),
    ControlSegment(token="[SEP]"),
)
_ITEM_TOWER: Final[tuple[Segment, ...]] = (ControlSegment(token="[CLS]"), *_ITEM, ControlSegment(token="[SEP]"))
_UNTRAINED_HEAD: Final = {"scale": "10", "cut_points": ("3", "4.5", "6")}
"""Cosines of 0.30, 0.45 and 0.60 part the labels, as among sentence encoders; training moves them."""


def build_contract(
    encoder: TextEncoder,
    layout: PromptLayout,
    rule_mode: RuleMode,
    max_prompt_tokens: int,
    *,
    image_tokens: int | None = None,
    show_overlap: bool = False,
) -> ServingContract:
    """The contract of a model of this tokenizer. Raises ContractError where the layout cannot be carried.

    With `image_tokens` an item's picture of at most so many tokens stands where its words would. With `show_overlap` a
    cross-encoder is told how many of the query's words the title has.
    """
    template = _template(encoder, layout, show_overlap)
    towers = Towers(query_template=_QUERY_TOWER, **_UNTRAINED_HEAD) if layout is PromptLayout.TWO_TOWER else None
    if image_tokens is not None:
        template = _pictured(template, ImageSegment(max_tokens=image_tokens))
    _require(encoder, (*template, *(towers.query_template if towers else ())), layout)
    return ServingContract(
        layout=layout,
        template=template,
        verbaliser=_verbaliser(encoder, layout),
        label_schema=label_schema_digest(),
        rule_mode=rule_mode,
        truncation=Truncation(max_prompt_tokens=max_prompt_tokens),
        trace=_trace(encoder) if layout is PromptLayout.THINK_FIRST else None,
        towers=towers,
        tokenizer=encoder.digest,
    )


def _template(encoder: TextEncoder, layout: PromptLayout, show_overlap: bool) -> tuple[Segment, ...]:
    if layout is PromptLayout.CLASSIFIER:
        return (*_ASKED, *(_OVERLAP if show_overlap else ()), *_OFFERED)
    if layout is PromptLayout.TWO_TOWER:
        return _ITEM_TOWER
    start = ControlSegment(token=THINK if layout is PromptLayout.THINK_FIRST else ANSWER)
    if encoder.has_control(QUERY):
        return (*_control_template(BEGIN), start)
    return (*_WORDED, start) if layout is PromptLayout.THINK_FIRST else _WORDED


def _pictured(template: tuple[Segment, ...], image: ImageSegment) -> tuple[Segment, ...]:
    at = next(
        n for n, part in enumerate(template) if isinstance(part, FieldSegment) and part.field is PromptField.PICTURE
    )
    return (*template[:at], image, *template[at:])


def _require(encoder: TextEncoder, template: tuple[Segment, ...], layout: PromptLayout) -> None:
    needed = [segment.token for segment in template if isinstance(segment, ControlSegment)]
    missing = [token for token in needed if not encoder.has_control(token)]
    if missing:
        raise ContractError(
            f"layout {layout}: the base model's tokenizer has no control tokens {missing}; use another base"
        )


def _trace(encoder: TextEncoder) -> Trace:
    return Trace(stop_token=THINK_STOP, stop_token_id=encoder.control(THINK_STOP), max_tokens=MAX_TRACE_TOKENS)


def _verbaliser(encoder: TextEncoder, layout: PromptLayout) -> Verbaliser:
    if not layout.writes:
        return Verbaliser(token_ids=(0, 1, 2, 3))
    if all(encoder.has_control(token) for token in LABEL_TOKENS):
        first, second, third, fourth = (encoder.control(token) for token in LABEL_TOKENS)
        return Verbaliser(token_ids=(first, second, third, fourth))
    return spelled_verbaliser([encoder.encode(text) for text in (" L1", " L2", " L3", " L4")])


def spelled_verbaliser(spellings: list[list[int]]) -> Verbaliser:
    """From four spellings in ids: a common forced prefix, then one token that differs.

    Raises ContractError where they differ at more than one token, since then no single position holds the label.
    """
    lengths = {len(ids) for ids in spellings}
    differing = [place for place, ids in enumerate(zip(*spellings, strict=False)) if len(set(ids)) > 1]
    if len(lengths) != 1 or differing != [max(lengths) - 1]:
        raise ContractError(
            f"verbaliser: the four labels must differ at exactly one token, the last; they are {spellings}; "
            "add label tokens to the tokenizer"
        )
    ids: LabelIds = (spellings[0][-1], spellings[1][-1], spellings[2][-1], spellings[3][-1])
    return Verbaliser(prefix_ids=tuple(spellings[0][:-1]), token_ids=ids)
