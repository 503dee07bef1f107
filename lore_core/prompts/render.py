"""Assembling a prompt from its template: pure functions on token ids."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lore_core.prompts.contract import (
    ControlSegment,
    FieldSegment,
    ImageSegment,
    PromptField,
    Segment,
    TextSegment,
    Truncation,
)
from lore_core.prompts.fields import NO_RULES, PAIR_READERS, RECORD_READERS, RULE_READERS, PromptRecord, PromptRules

Encode = Callable[[str], list[int]]


class PromptTooLong(ValueError):
    """The query and the fixed parts alone exceed the limit; the query is never cut, so nothing can be rendered."""

    reason = "PromptTooLong"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a prompt: the base64 of its file, and how many of the prompt's ids stand before it."""

    data: str
    after: int


class RenderedPrompt(NamedTuple):
    """What a model is given: token ids up to and including the forced label prefix, and whether a field was cut.

    With a picture the ids are those of the words around it. Of a two-tower's the first `of_query` are the query's sequence,
    the others the item's.
    """

    token_ids: tuple[int, ...]
    truncated: bool
    picture: Picture | None = None
    of_query: int = 0

    @property
    def towers(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids of the query's sequence and of the item's, for a two-tower."""
        return self.token_ids[: self.of_query], self.token_ids[self.of_query :]


class Piece(NamedTuple):
    """The ids of one part of a prompt; `field` is None for the template's own words. `image` is the base64 of a picture."""

    field: PromptField | None
    ids: Sequence[int]
    image: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a field's text goes: how it is read from the record or from the rules, and the ids before it unless it is empty."""

    field: PromptField
    of_rules: bool
    read: Callable[[Any], str]
    before: tuple[int, ...]


Part = Piece | Slot | None
"""A template's part whose ids are known, a field's place, or the picture's."""


def compiled(template: Sequence[Segment], encode: Encode, control: Callable[[str], int]) -> tuple[Part, ...]:
    """A template with everything encoded that is the same in all its prompts; neighbouring words and controls are one part."""
    parts, fixed = list[Part](), list[int]()
    for segment in template:
        if isinstance(segment, ControlSegment):
            fixed.append(control(segment.token))
        elif isinstance(segment, TextSegment):
            fixed += encode(segment.text)
        else:
            parts += [*_fixed(fixed), _place(segment, encode)]
            fixed = []
    return (*parts, *_fixed(fixed))


def _fixed(ids: list[int]) -> list[Part]:
    return [Piece(None, tuple(ids))] if ids else []


def _place(segment: FieldSegment | ImageSegment, encode: Encode) -> Slot | None:
    if isinstance(segment, ImageSegment):
        return None
    of_rules = segment.field in RULE_READERS
    read = (RULE_READERS if of_rules else {**RECORD_READERS, **PAIR_READERS})[segment.field]
    return Slot(segment.field, of_rules, read, tuple(encode(segment.before)) if segment.before else ())


def pieces(parts: Sequence[Part], record: PromptRecord, rules: PromptRules, encode: Encode, image: str) -> list[Piece]:
    """The parts as ids, in template order. An empty field leaves nothing, what stands before it included; so does no image.

    With a picture its words are left out.
    """
    found = list[Piece]()
    for part in parts:
        if isinstance(part, Slot):
            if part.of_rules and rules is NO_RULES:
                continue
            if (text := part.read(rules if part.of_rules else record).strip()) and not (
                image and part.field is PromptField.PICTURE
            ):
                ids = encode(text)
                found.append(Piece(part.field, [*part.before, *ids] if part.before else ids))
        elif part is not None:
            found.append(part)
        elif image:
            found.append(Piece(None, (), image))
    return found


def fit(found: list[Piece], truncation: Truncation) -> RenderedPrompt:
    """Cut fields from their end, in the contract's order, until the prompt fits. Raises PromptTooLong."""
    whole = _joined(found, truncated=False)
    over = len(whole.token_ids) - truncation.max_prompt_tokens
    if over <= 0:
        return whole
    kept = {index: len(piece.ids) for index, piece in enumerate(found)}
    for field in truncation.cut_order:
        for index in (i for i, piece in enumerate(found) if piece.field is field):
            cut = min(over, kept[index])
            kept[index] -= cut
            over -= cut
    if over > 0:
        raise PromptTooLong(
            f"query: query and template exceed truncation.maxPromptTokens={truncation.max_prompt_tokens} by {over} "
            "tokens; shorten the query or train with a larger maxPromptTokens"
        )
    return _joined([piece._replace(ids=piece.ids[: kept[i]]) for i, piece in enumerate(found)], truncated=True)


def beside(query: RenderedPrompt, item: RenderedPrompt) -> RenderedPrompt:
    """The sequences of both towers as one prompt."""
    ids = (*query.token_ids, *item.token_ids)
    return RenderedPrompt(ids, query.truncated or item.truncated, of_query=len(query.token_ids))


def _joined(found: list[Piece], *, truncated: bool) -> RenderedPrompt:
    ids, picture = list[int](), None
    for piece in found:
        if piece.image:
            picture = Picture(piece.image, len(ids))
        ids += piece.ids
    return RenderedPrompt(tuple(ids), truncated, picture)
