"""The serving contract: all that a model fixes about its prompt, its labels and its scores.

It lies in every model artifact as `lore-contract.json`, so that training, evaluation, the head job and the router cannot
disagree. Code holds only the engine that renders. Light: imports pydantic and the artifact helpers, nothing heavier.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from lore_core.artifacts.manifest import canonical_json
from lore_core.artifacts.ref import Digest
from lore_core.jobs.config import Decimal, RuleMode, WireModel

CONTRACT_NAME: Final = "lore-contract.json"

LabelStrings = tuple[str, str, str, str]
LabelIds = tuple[int, int, int, int]


class ContractError(ValueError):
    """A serving contract that cannot be used; the message names the file, the field and the remedy."""

    reason = "BadServingContract"


class PromptLayout(StrEnum):
    """Where the label's probability is read: at the first token, after a trace, from a class head, from two vectors' cosine."""

    LABEL_FIRST = "LabelFirst"
    THINK_FIRST = "ThinkFirst"
    CLASSIFIER = "Classifier"
    TWO_TOWER = "TwoTower"

    @property
    def writes(self) -> bool:
        """Whether the label is a token that a language model writes."""
        return self in (PromptLayout.LABEL_FIRST, PromptLayout.THINK_FIRST)


class PromptField(StrEnum):
    """The parts of a record (and what was found for it) that a prompt can show; `overlap` is of query and title."""

    QUERY = "query"
    TITLE = "title"
    SHOP = "shop"
    ATTRIBUTES = "attributes"
    PICTURE = "picture"
    OVERLAP = "overlap"
    QUERY_RULES = "queryRules"
    ITEM_RULES = "itemRules"


class ControlSegment(WireModel):
    """One control token of the tokenizer, by name; only the template can put it into a prompt."""

    kind: Literal["control"] = "control"
    token: str = Field(min_length=1)


class TextSegment(WireModel):
    """Fixed words of the template, encoded as plain text."""

    kind: Literal["text"] = "text"
    text: str = Field(min_length=1)


class FieldSegment(WireModel):
    """One part of the record, encoded as plain text; `before` is written only where the part is not empty."""

    kind: Literal["field"] = "field"
    field: PromptField
    before: str = ""


class ImageSegment(WireModel):
    """The item's picture itself, where it has one; the words of the field `picture` are then left out.

    The server's chat template turns it into at most `max_tokens` tokens, which `maxPromptTokens` does not count.
    """

    kind: Literal["image"] = "image"
    max_tokens: int = Field(ge=1, le=131_072)


Segment = Annotated[ControlSegment | TextSegment | FieldSegment | ImageSegment, Field(discriminator="kind")]


class Truncation(WireModel):
    """How a long prompt is made to fit: fields lose tokens from their end, in this order. The query is never cut."""

    max_prompt_tokens: int = Field(ge=16, le=131_072)
    cut_order: tuple[PromptField, ...] = (
        PromptField.ITEM_RULES,
        PromptField.PICTURE,
        PromptField.ATTRIBUTES,
        PromptField.SHOP,
        PromptField.QUERY_RULES,
        PromptField.TITLE,
    )

    @model_validator(mode="after")
    def _query_is_kept(self) -> Self:
        if PromptField.QUERY in self.cut_order:
            raise ValueError("truncation.cutOrder: the query is never cut; remove `query`")
        return self


class Verbaliser(WireModel):
    """How the four labels are spelled. After `prefix_ids` (forced) they differ at exactly one token: `token_ids`.

    For a classifier and a two-tower `token_ids` are the class indices. Order L1 L2 L3 L4 throughout.
    """

    strings: LabelStrings = ("L1", "L2", "L3", "L4")
    prefix_ids: tuple[int, ...] = ()
    token_ids: LabelIds

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.token_ids)) != 4:
            raise ValueError(f"verbaliser.tokenIds: four different tokens are needed, got {list(self.token_ids)}")
        return self


class Towers(WireModel):
    """What a two-tower has beside the item's template: the query's, and the head that reads a cosine as four probabilities.

    P(label ≤ Lk) = σ(cut_points[k] - scale·cosine), k = 1, 2, 3 (cumulative logits, McCullagh 1980).
    """

    query_template: tuple[Segment, ...] = Field(min_length=1)
    scale: Decimal
    cut_points: tuple[Decimal, Decimal, Decimal]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if float(self.scale) <= 0:
            raise ValueError(f"towers.scale: must be above 0, is {self.scale}")
        cuts = [float(cut) for cut in self.cut_points]
        if cuts != sorted(set(cuts)):
            raise ValueError(f"towers.cutPoints: must rise, are {list(self.cut_points)}")
        return self


class Trace(WireModel):
    """Bounds of a generated trace: generation stops after `stop_token`, or is cut at `max_tokens` and the stop forced."""

    stop_token: str = "</think>"
    stop_token_id: int = Field(ge=0)
    max_tokens: int = Field(ge=1, le=32_768)


class Calibration(WireModel):
    """Temperature on the four logits, and what each label is worth when scores of several tiers are sorted together."""

    temperature: Decimal = "1.0"
    grades: tuple[Decimal, Decimal, Decimal, Decimal] = ("1", "2", "3", "4")

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if float(self.temperature) <= 0:
            raise ValueError(f"calibration.temperature: must be above 0, is {self.temperature}")
        return self


class ServingContract(WireModel):
    """The content of `lore-contract.json`. Of a two-tower `template` is the item's; each tower has `truncation` to itself."""

    format_version: Literal[1] = 1
    layout: PromptLayout
    template: tuple[Segment, ...] = Field(min_length=1)
    verbaliser: Verbaliser
    label_schema: Digest
    rule_mode: RuleMode
    truncation: Truncation
    trace: Trace | None = None
    towers: Towers | None = None
    calibration: Calibration = Calibration()
    tokenizer: Digest

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.trace is None) == (self.layout is PromptLayout.THINK_FIRST):
            raise ValueError("trace: given for layout ThinkFirst and for no other")
        if (self.towers is None) == (self.layout is PromptLayout.TWO_TOWER):
            raise ValueError("towers: given for layout TwoTower and for no other")
        if self.towers is not None:
            _check_apart(_fields(self.towers.query_template), _fields(self.template))
        if _fields(self.segments).count(PromptField.QUERY) != 1:
            raise ValueError("template: must show the query exactly once")
        images = [segment for segment in self.template if isinstance(segment, ImageSegment)]
        if len(images) > 1 or (images and not self.layout.writes):
            raise ValueError("template: at most one image, and none for layouts Classifier and TwoTower")
        return self

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All parts that a prompt can have, of both towers where there are two."""
        return (*(self.towers.query_template if self.towers else ()), *self.template)

    @property
    def image_tokens(self) -> int | None:
        """Most tokens of the item's picture; None where this model is shown no pictures."""
        return next((segment.max_tokens for segment in self.template if isinstance(segment, ImageSegment)), None)

    @property
    def prompt_digest(self) -> str:
        """Names the prompt version: everything that can change a prompt's token ids or where the label is read."""
        return self.model_copy(update={"calibration": Calibration()}).content_digest()

    def to_bytes(self) -> bytes:
        """The canonical bytes of `lore-contract.json`."""
        return canonical_json(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    @classmethod
    def read(cls, path: Path) -> "ServingContract":
        """Read and check a contract. Raises ContractError naming file and field."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ContractError(f"{path}: not there; this folder is not a published model artifact") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise ContractError(f"{path}: {where}: {first['msg']}; publish the model again") from error


def _fields(template: Sequence[Segment]) -> list[PromptField]:
    return [segment.field for segment in template if isinstance(segment, FieldSegment)]


def _check_apart(query: Sequence[PromptField], item: Sequence[PromptField]) -> None:
    """Raises ValueError where a tower shows what depends on the other's text; rules that an item triggers depend on both."""
    if not set(query) <= {PromptField.QUERY, PromptField.QUERY_RULES}:
        raise ValueError("towers.queryTemplate: shows query and queryRules alone")
    if set(item) & {PromptField.QUERY, PromptField.QUERY_RULES, PromptField.ITEM_RULES, PromptField.OVERLAP}:
        raise ValueError("template: of layout TwoTower shows the item alone; remove query, rules and overlap")
