"""What a record and the rules found for it say, as the text of each prompt field."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Protocol

from lore_core.jobs.config import RuleMode
from lore_core.prompts.contract import PromptField
from lore_core.prompts.overlap import overlap_text
from lore_core.records.pair import TraceStep


class PromptRecord(Protocol):
    """The parts of a record that a prompt can show; `records.Pair` has them, and so has a query with an item's features."""

    @property
    def query(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def shop_name(self) -> str: ...  # noqa: D102
    @property
    def cpv_sku(self) -> dict[str, str]: ...  # noqa: D102
    @property
    def vqa_result(self) -> str: ...  # noqa: D102
    @property
    def image_base64(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class PromptRules:
    """Rule texts to show: those found by query and market come before the query, those the item triggers after it."""

    query: tuple[str, ...] = ()
    item: tuple[str, ...] = ()


NO_RULES = PromptRules()


def record_fields(record: PromptRecord, rules: PromptRules = NO_RULES) -> dict[PromptField, str]:
    """Text of every field of the record and its rules; a field without content is the empty string."""
    said = {field: read(record) for field, read in RECORD_READERS.items()}
    return said | {field: read(rules) for field, read in RULE_READERS.items()}


def attributes_text(attributes: Mapping[str, str]) -> str:
    """`name value ; name value`, in the record's order, so that cutting from the end drops whole facts first."""
    return " ; ".join([f"{name} {value}".strip() for name, value in attributes.items()]) if attributes else ""


def trace_text(steps: Sequence[TraceStep], rule_mode: RuleMode) -> str:
    """The short structured trace of think-first training: `dimension demand evidence [rule] verdict` a step.

    Where the prompt shows no rules, the trace cites none: a model cannot know the id of a rule that it has not seen.
    """
    return " ; ".join(" ".join(part for part in _parts(step, rule_mode) if part) for step in steps)


def _parts(step: TraceStep, rule_mode: RuleMode) -> tuple[str, ...]:
    rule = "" if rule_mode is RuleMode.NONE else step.rule
    return step.dimension, step.demand, step.evidence, rule, step.verdict


def _lines(texts: Sequence[str]) -> str:
    return " ; ".join([text.strip() for text in texts if text.strip()]) if texts else ""


RECORD_READERS: Final[Mapping[PromptField, Callable[[Any], str]]] = {
    PromptField.QUERY: attrgetter("query"),
    PromptField.TITLE: attrgetter("title"),
    PromptField.SHOP: attrgetter("shop_name"),
    PromptField.ATTRIBUTES: lambda record: attributes_text(record.cpv_sku),
    PromptField.PICTURE: attrgetter("vqa_result"),
}
"""How the text of each field of its own is read from a PromptRecord."""
PAIR_READERS: Final[Mapping[PromptField, Callable[[Any], str]]] = {
    PromptField.OVERLAP: lambda record: overlap_text(record.query, record.title)
}
"""How a PromptRecord's query and item are compared."""
RULE_READERS: Final[Mapping[PromptField, Callable[[PromptRules], str]]] = {
    PromptField.QUERY_RULES: lambda rules: _lines(rules.query),
    PromptField.ITEM_RULES: lambda rules: _lines(rules.item),
}
"""How it is read from the rules."""
