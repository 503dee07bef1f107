"""A versioned set of annotation rules, laid out as RAIR's rule files are, with machine-readable conditions beside the text."""

import json
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.jobs.errors import JobError
from lore_core.rules.index import RuleIndex, words

RULES_NAME = "rules.json"
MAX_RULE_BYTES = 16 << 20
_LATER = frozenset({"version", "industry", "industries"})

Word = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(max_length=16_384)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NearEffect(StrEnum):
    """What a near value amounts to where a rule applies."""

    NEAR = "near"
    CONFLICT = "conflict"


class Condition(_Model):
    """When a rule applies and what it says, for programs.

    `categories` empty means every category. `near` is the effect of a near value; `tolerance_steps` is how many ladder
    steps still count as near on a dimension whose values are ordered, None where the dimension has no order.
    """

    categories: tuple[Word, ...] = ()
    near: NearEffect
    tolerance_steps: int | None = Field(default=None, ge=0, le=100)

    def covers(self, category: str) -> bool:
        """Whether the rule applies to a category."""
        return not self.categories or category in self.categories


class Rule(_Model):
    """One rule. `market` and `industry` empty mean every one; a rule without a condition is text for people and models only."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    dimension: Word
    summary: Annotated[str, Field(min_length=1, max_length=1_024)]
    principle: Text = ""
    details: tuple[Text, ...] = ()
    market: str = Field(default="", max_length=128)
    industry: str = Field(default="", max_length=128)
    condition: Condition | None = None

    @property
    def line(self) -> str:
        """The rule as a prompt shows it: id, then summary."""
        return f"{self.id} {self.summary}"


class RuleSetError(JobError):
    """A rule file that cannot be used; names file, field and remedy."""

    def __init__(self, file: Path | str, field: str | None, problem: str, remedy: str) -> None:
        place = f"{file}" + (f": {field}" if field else "")
        super().__init__("BadRuleSet", f"{place}: {problem}; {remedy}", file=str(file), field=field)


class RuleSet(_Model):
    """Rules and the lexicon that retrieval reads queries with: `lexicon[dimension]` are the words that speak of it.

    `kinds[category]` are the words that name a category, `industries[industry]` the categories that belong to it: so the
    industry of a pair is told by its words, online as in training. `version` is the editors' own name of this state of the
    set; what binds is the digest.
    """

    version: str = Field(default="", max_length=128)
    rules: tuple[Rule, ...] = Field(max_length=10_000)
    kinds: dict[Word, tuple[Word, ...]] = {}
    industries: dict[Word, tuple[Word, ...]] = {}
    lexicon: dict[Word, tuple[Word, ...]] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.id in seen:
                raise ValueError(f"the rule id {rule.id!r} occurs twice")
            seen.add(rule.id)
            if rule.industry and rule.industry not in self.industries:
                raise ValueError(f"rule {rule.id!r}: industries does not list {rule.industry!r}")
        return self

    def __copy__(self) -> Self:
        """A copy computes its own index and scopes: `model_copy` may give it other rules."""
        copied = super().__copy__()
        for name in ("index", "scopes"):
            copied.__dict__.pop(name, None)
        return copied

    @cached_property
    def scopes(self) -> tuple[frozenset[str] | None, ...]:
        """The categories of each rule, by its place: those of its industry and its condition both; None for all."""
        return tuple(self._scope(rule) for rule in self.rules)

    def _scope(self, rule: Rule) -> frozenset[str] | None:
        industry = frozenset(self.industries[rule.industry]) if rule.industry else None
        named = frozenset(rule.condition.categories) if rule.condition and rule.condition.categories else None
        if industry is None or named is None:
            return named if industry is None else industry
        return industry & named

    @property
    def digest(self) -> str:
        """Digest of the canonical form: any change of a rule or of the lexicon changes it."""
        return sha256_digest(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The canonical bytes of `rules.json`. What came later than the format is written only where it is used."""
        values = self.model_dump(mode="json")
        for part in (values, *values["rules"]):
            for name in _LATER & part.keys():
                if not part[name]:
                    del part[name]
        return canonical_json(values)

    @cached_property
    def index(self) -> RuleIndex:
        """Rules by word: the lexicon's for the rule's dimension, else the rule's own."""
        own = [self.lexicon.get(rule.dimension) or words(f"{rule.dimension} {rule.summary}") for rule in self.rules]
        return RuleIndex(own, self.kinds)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `rules.json` (or a folder that has it). Raises RuleSetError with file and field."""
        file = path / RULES_NAME if path.is_dir() else path
        return cls.parse(_read(file), file)

    @classmethod
    def parse(cls, data: bytes, file: Path | str = RULES_NAME) -> Self:
        """A rule set from bytes. Raises RuleSetError with file and field."""
        try:
            values: Any = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RuleSetError(file, None, f"not valid JSON ({error})", "write one JSON object") from error
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)[0]
            field = ".".join(str(part) for part in detail["loc"])[:128] or "rules"
            raise RuleSetError(file, field, detail["msg"], "correct the field") from error


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_RULE_BYTES:
            raise RuleSetError(file, None, f"larger than {MAX_RULE_BYTES} bytes", "split the rule set")
        return file.read_bytes()
    except OSError as error:
        raise RuleSetError(file, None, f"cannot be read ({error.strerror})", "check the path") from error
