"""One annotated query-item pair: the fields of a RAIR record and the platform's own beside them.

Lengths are in characters. The limits refuse nonsense and bound memory; they never cut: what fits into a prompt is decided
by the prompt version.
"""

import json
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints

from lore_core.records.label import Label

MAX_QUERY: Final = 1_024
MAX_TITLE: Final = 4_096
MAX_TEXT: Final = 65_536
MAX_ATTRIBUTES: Final = 512
MAX_IMAGE: Final = 24 << 20


def attribute_map(value: Any) -> Any:
    """An attribute map from a mapping or from its JSON text, values as text; anything else is left for pydantic to refuse."""
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, dict):
        return value
    return {name: attribute_text(entry) for name, entry in value.items() if entry is not None}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else {}
    except RecursionError as error:
        raise ValueError("nested too deeply for an attribute map") from error


def attribute_text(value: Any) -> Any:
    """A scalar as people write it, a list joined by commas; other values unchanged."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    if isinstance(value, list) and all(isinstance(entry, str | int | float) for entry in value):
        return ", ".join(str(attribute_text(entry)) for entry in value)
    return value


def _identifier(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, Strict(), StringConstraints(max_length=MAX_TEXT)]
Word = Annotated[str, Strict(), StringConstraints(max_length=128)]
Identifier = Annotated[
    str, BeforeValidator(_identifier), Strict(), StringConstraints(min_length=1, max_length=256, pattern=r"^\S(.*\S)?$")
]
AttributeName = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=512)]
Attributes = Annotated[dict[AttributeName, Text], BeforeValidator(attribute_map), Field(max_length=MAX_ATTRIBUTES)]
Bit = Annotated[bool, Strict()]


SLICE_FIELDS: Final = ("cell", "industry", "market", "needs.image", "needs.knowledge", "needs.rule", "subset")
"""Fields of every record that scores can be sliced by; `tags` adds others, and an evaluation may add `leak`."""


def _own_name(name: str) -> str:
    if name in (*SLICE_FIELDS, "leak"):
        raise ValueError(f"{name!r} is a field of every record; give the tag another name")
    return name


TagName = Annotated[
    str, Strict(), StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,62}$"), AfterValidator(_own_name)
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Needs(_Model):
    """What judging the pair takes beyond its text: the fact base, the picture, the market's rules."""

    knowledge: Bit = False
    image: Bit = False
    rule: Bit = False

    @property
    def cell(self) -> str:
        """Name of the capability cell: `plain` or the bits joined by `+`."""
        return "+".join(name for name, needed in self if needed) or "plain"


class TraceStep(_Model):
    """One step of a structured trace: a demand, the item's evidence for it, the rule applied, the verdict."""

    dimension: Word
    demand: Text
    evidence: Text = ""
    rule: Word = ""
    verdict: Word


class Pair(_Model):
    """One pair.

    `cpv_sku` maps attribute names to text (a JSON string is accepted); `vqa_result` is the picture as a VQA model worded
    it; `rule_list` is the annotators' rule text and may contain the gold label; `image_base64` is the main picture.
    Pairs with one `flip_group` are the same pair under different markets. `tags` are whatever else scores are to be sliced
    by, such as `intent`, `ruleDimension`, `stratum`.
    """

    id: Identifier
    query: Annotated[str, Strict(), StringConstraints(min_length=1, max_length=MAX_QUERY, pattern=r"\S")]
    title: Annotated[str, Strict(), StringConstraints(max_length=MAX_TITLE)]
    item_id: Identifier
    groundtruth: Label
    shop_name: Annotated[str, Strict(), StringConstraints(max_length=MAX_TITLE)] = ""
    cpv_sku: Attributes = {}
    vqa_result: Text = ""
    rule_list: Text = ""
    image_base64: Annotated[
        str, Strict(), StringConstraints(max_length=MAX_IMAGE, pattern=r"^[A-Za-z0-9+/]*={0,2}$")
    ] = ""
    subset: Annotated[str, Strict(), StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    market: Word = ""
    industry: Word = ""
    needs: Needs = Needs()
    trace: Annotated[tuple[TraceStep, ...], Field(max_length=64)] = ()
    flip_group: Identifier | None = None
    tags: Annotated[dict[TagName, Word], Field(max_length=32)] = {}

    @property
    def slice_fields(self) -> dict[str, str]:
        """What a slice may name, as text: SLICE_FIELDS and the tags."""
        needs = {f"needs.{name}": str(needed).lower() for name, needed in self.needs}
        own = {"subset": self.subset, "market": self.market, "industry": self.industry, "cell": self.needs.cell}
        return {**own, **needs, **self.tags}
