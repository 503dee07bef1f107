"""Assembling a prompt from its template: pure functions on token ids."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lore_core.prompts.contract import ControlSegment, FieldSegment, PromptField, Segment, TextSegment, Truncation

Encode = Callable[[str], list[int]]


class PromptTooLong(ValueError):
    """The query and the fixed parts alone exceed the limit; the query is never cut, so nothing can be rendered."""

    reason = "PromptTooLong"


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """What a model is given: token ids up to and including the forced label prefix, and whether a field was cut."""

    token_ids: tuple[int, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """The ids of one segment; `field` is None for the template's own words."""

    field: PromptField | None
    ids: list[int]


def pieces(
    template: tuple[Segment, ...], fields: Mapping[PromptField, str], encode: Encode, control: Callable[[str], int]
) -> list[Piece]:
    """The segments as ids, in template order. An empty field leaves nothing, its `before` included."""
    found: list[Piece] = []
    for segment in template:
        if isinstance(segment, ControlSegment):
            found.append(Piece(None, [control(segment.token)]))
        elif isinstance(segment, TextSegment):
            found.append(Piece(None, encode(segment.text)))
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
        return RenderedPrompt(tuple(id_ for piece in found for id_ in piece.ids), truncated=False)
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
    return RenderedPrompt(tuple(id_ for i, piece in enumerate(found) for id_ in piece.ids[: kept[i]]), truncated=True)
