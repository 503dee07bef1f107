"""The four relevance grades, their definitions, and the digest that binds records, models and verdicts to them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from lore_core.artifacts.manifest import canonical_json, sha256_digest

LABEL_SCHEMA_VERSION: Final = 1


class Label(StrEnum):
    """A relevance grade as RAIR writes it (arXiv 2512.24943), from L1 (another kind of thing) to L4 (all demands met)."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"

    @property
    def grade(self) -> int:
        """1 to 4."""
        return int(self.value[1])

    @property
    def relevant(self) -> bool:
        """The binary split of Accuracy@2: {L3, L4} against {L1, L2}."""
        return self.grade >= 3


LABELS: Final = tuple(Label)

LABEL_DEFINITIONS: Final[Mapping[Label, str]] = MappingProxyType(
    {
        Label.L1: "another category than the query asks for",
        Label.L2: "the category fits, but the item conflicts with a demand of the query",
        Label.L3: "the category fits and nothing conflicts, but a demand is met only nearly",
        Label.L4: "every demand of the query is met",
    }
)


def label_schema_digest() -> str:
    """Digest of names, order, definitions and binary split; labels of two schemas must not be mixed."""
    schema = [
        {"label": label.value, "relevant": label.relevant, "definition": LABEL_DEFINITIONS[label]} for label in LABELS
    ]
    return sha256_digest(canonical_json({"version": LABEL_SCHEMA_VERSION, "labels": schema}))
