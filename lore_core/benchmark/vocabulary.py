"""The world's words: kinds of things, dimensions with ten values each, families of near values, aliases, templates.

The world itself does not depend on a seed; only what is drawn from it does. So one base model serves every seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

KIND: Final = "kind"
PRODUCTS: Final = (
    "kettle", "lamp", "jacket", "backpack", "blanket", "mug", "speaker", "notebook", "umbrella", "pillow", "tent", "clock",
)  # fmt: skip
# Motifs are the kinds that only a picture shows.
MOTIFS: Final = ("circle", "square", "triangle", "diamond", "cross", "star", "ring", "heart", "arrow", "crescent")
PRINTS: Final = ("poster", "sticker")


@dataclass(frozen=True)
class Dimension:
    """One attribute: ten values, either a ladder (in order) or five families of two near values each."""

    name: str
    values: tuple[str, ...]
    ladder: bool = False
    pictured: bool = False

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Index of each value."""
        return MappingProxyType({value: index for index, value in enumerate(self.values)})

    def steps(self, one: str, two: str) -> int:
        """0 for equal values; on a ladder the steps between them; else 1 within a family and 9 across families."""
        a, b = self.place[one], self.place[two]
        if self.ladder or a == b:
            return abs(a - b)
        return 1 if a // 2 == b // 2 else 9


DIMENSIONS: Final = (
    Dimension(
        "colour",
        ("red", "crimson", "blue", "navy", "green", "olive", "yellow", "gold", "grey", "black"),
        pictured=True,
    ),
    Dimension(
        "pattern",
        ("striped", "banded", "dotted", "spotted", "checked", "gridded", "plain", "bordered", "slanted", "hatched"),
        pictured=True,
    ),
    Dimension("count", tuple(f"x{n}" for n in range(1, 11)), ladder=True, pictured=True),
    Dimension(
        "material",
        ("cotton", "linen", "leather", "suede", "steel", "iron", "oak", "walnut", "glass", "crystal"),
    ),
    Dimension("capacity", tuple(f"{2**n}gb" for n in range(1, 11)), ladder=True),
    Dimension("length", tuple(f"{n}cm" for n in range(10, 101, 10)), ladder=True),
    Dimension("brand", ("acmira", "acmora", "belto", "belta", "corvin", "corvan", "dunmo", "dunma", "elvar", "elvor")),
    Dimension(
        "audience",
        ("women", "ladies", "men", "gentlemen", "girls", "daughters", "boys", "sons", "babies", "infants"),
    ),
)
BY_NAME: Final[Mapping[str, Dimension]] = MappingProxyType({dimension.name: dimension for dimension in DIMENSIONS})
PICTURED: Final = tuple(dimension.name for dimension in DIMENSIONS if dimension.pictured)
WRITTEN: Final = tuple(dimension.name for dimension in DIMENSIONS if not dimension.pictured)
DIMENSION_OF: Final[Mapping[str, str]] = MappingProxyType(
    {value: dimension.name for dimension in DIMENSIONS for value in dimension.values}
    | dict.fromkeys((*PRODUCTS, *MOTIFS), KIND)
)

CENTRAL: Final = "central"
MARKETS: Final = ("north", "south")
SHOPS: Final = ("homely", "brightway", "oldtown", "seaside", "uphill", "corner")
COMPANION: Final = "with"
SHOWS: Final = "shows"
BESIDE: Final = "beside"

# `k` stands for the kind, `v` for the values; every word of a held-out template occurs in a training one.
TEMPLATES: Final = ("v k", "k v", "buy v k", "buy k v", "need v k today", "cheap k v", "v k online", "find cheap v k")
HELD_OUT_TEMPLATES: Final = ("need k v", "find k v online", "cheap v k today")

_FIRST: Final = ("ba", "de", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "ze")
_SECOND: Final = ("bax", "dex", "kix", "lox", "mux", "nax", "pex", "rix", "sox", "tux")


def _aliases() -> dict[str, str]:
    """An invented word for every value and kind; what it means stands in the facts alone."""
    terms = [*(value for dimension in DIMENSIONS for value in dimension.values), *PRODUCTS, *MOTIFS]
    return {
        term: _FIRST[place % 11] + _SECOND[(place // 11 + 3 * (place % 11)) % 10] for place, term in enumerate(terms)
    }


ALIASES: Final[Mapping[str, str]] = MappingProxyType(_aliases())
MEANING: Final[Mapping[str, str]] = MappingProxyType({alias: term for term, alias in ALIASES.items()})


def novel(term: str) -> bool:
    """Whether the term's alias is kept out of every label pair that a model may be fitted on."""
    values = BY_NAME[DIMENSION_OF[term]].values if DIMENSION_OF[term] != KIND else (*PRODUCTS, *MOTIFS)
    place = values.index(term)
    return (place + place // 2) % 2 == 1


def kind_group(kind: str) -> int:
    """0 or 1. The two kinds of a block are of one group, and a held-out value is held out from a whole group."""
    return (PRODUCTS.index(kind) if kind in PRODUCTS else MOTIFS.index(kind)) % 2


RULE_WORDS: Final = ("strict", "lenient")
FACT_WORDS: Final = ("means", "wants", "is", "next", "near", "far", "match", "conflict", "other", KIND, ";")
