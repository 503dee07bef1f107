"""Assembling a prompt from its template: pure functions on token ids."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lore_core.prompts.contract import (
    ControlSegment,
    FieldSegment,
    ImageSegment,
    PromptField,
    Segment,
    TextSegment,
    Truncation,
)

Encode = Callable[[str], list[int]]


class PromptTooLong(ValueError):
    """The query and the fixed parts alone exceed the limit; the query is never cut, so nothing can be rendered."""

    reason = "PromptTooLong"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a prompt: the base64 of its file, and how many of the prompt's ids stand before it."""

    data: str
    after: int


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """What a model is given: token ids up to and including the forced label prefix, and whether a field was cut.

    With a picture the ids are those of the words around it.
    """

    token_ids: tuple[int, ...]
    truncated: bool
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """The ids of one segment; `field` is None for the template's own words. `image` is the base64 of a picture."""

    field: PromptField | None
    ids: list[int]
    image: str = ""


def pieces(
    template: tuple[Segment, ...],
    fields: Mapping[PromptField, str],
    encode: Encode,
    control: Callable[[str], int],
    image: str = "",
) -> list[Piece]:
    """The segments as ids, in template order. An empty field leaves nothing, its `before` included; so does no image."""
    found: list[Piece] = []
    for segment in template:
        if isinstance(segment, ControlSegment):
            found.append(Piece(None, [control(segment.token)]))
        elif isinstance(segment, TextSegment):
            found.append(Piece(None, encode(segment.text)))
        elif isinstance(segment, ImageSegment):
            found += [Piece(None, [], image)] if image else []
        elif text := fields.get(segment.field, "").strip():
            found.append(_field_piece(segment, text, encode))
    return found


def _field_piece(segment: FieldSegment, text: str, encode: Encode) -> Piece:
    before = encode(segment.before) if segment.before else []
    return Piece(segment.field, before + encode(text))


def fit(found: list[Piece], truncation: Truncation) -> RenderedPrompt:
    """Cut fields from their end, in the contract's order, until the prompt fits. Raises PromptTooLong."""
    over = sum(len(piece.ids) for piece in found) - truncation.max_prompt_tokens
    if over <= 0:
        return _joined(found, truncated=False)
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
    return _joined([replace(piece, ids=piece.ids[: kept[i]]) for i, piece in enumerate(found)], truncated=True)


def _joined(found: list[Piece], *, truncated: bool) -> RenderedPrompt:
    ids, picture = list[int](), None
    for piece in found:
        if piece.image:
            picture = Picture(piece.image, len(ids))
        ids += piece.ids
    return RenderedPrompt(tuple(ids), truncated, picture)
