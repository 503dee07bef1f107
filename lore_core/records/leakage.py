"""Whether splits share what they must not: queries, query-item pairs, and queries that are nearly the same text."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from lore_core.records.pair import Pair

NEAR_DUPLICATE: Final = 0.85
_SEPARATOR: Final = re.compile(r"[\W_]+")
_GRAM: Final = 3


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two splits share. Items alone are counted, not forbidden: catalogues recur; queries must not."""

    first: str
    second: str
    queries: int
    near_duplicate_queries: int
    items: int
    pairs: int
    examples: tuple[str, ...] = field(default=())

    @property
    def clean(self) -> bool:
        """No query of one split is, or merely respells, a query of the other."""
        return self.queries == 0


def canonical_query(text: str) -> str:
    """NFKC, casefold, punctuation and spacing unified, words sorted: two spellings of one query are equal."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(sorted(_SEPARATOR.sub(" ", folded).split())) or folded.strip()


def overlaps(splits: Mapping[str, Iterable[Pair]], threshold: float = NEAR_DUPLICATE) -> list[Overlap]:
    """The overlap of every two splits. `threshold` is the Jaccard similarity of character trigrams."""
    views = [_View.of(name, pairs) for name, pairs in splits.items()]
    return [_compare(one, two, threshold) for one, two in combinations(views, 2)]


@dataclass(frozen=True, slots=True)
class _View:
    name: str
    queries: Mapping[str, str]
    items: frozenset[str]
    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, name: str, pairs: Iterable[Pair]) -> "_View":
        queries: dict[str, str] = {}
        both = set()
        for pair in pairs:
            key = canonical_query(pair.query)
            queries.setdefault(key, pair.query)
            both.add((key, pair.item_id))
        return cls(name, queries, frozenset(item for _, item in both), frozenset(both))


def _compare(one: _View, two: _View, threshold: float) -> Overlap:
    shared = sorted(one.queries.keys() & two.queries.keys())
    near = list(resembling(one.queries.keys() - shared, two.queries.keys() - shared, threshold))
    return Overlap(
        first=one.name,
        second=two.name,
        queries=len(shared),
        near_duplicate_queries=len(near),
        items=len(one.items & two.items),
        pairs=len(one.pairs & two.pairs),
        examples=tuple(one.queries[key] for key in shared[:3]),
    )


def resembling(one: Iterable[str], two: Iterable[str], threshold: float) -> Iterator[str]:
    """Texts of `two` that some text of `one` resembles, by an inverted index over trigrams.

    `threshold` is the Jaccard similarity of character trigrams.
    """
    grams = {text: _grams(text) for text in one}
    index: dict[str, list[str]] = defaultdict(list)
    for text, found in grams.items():
        for gram in found:
            index[gram].append(text)
    for text in two:
        own = _grams(text)
        shared: dict[str, int] = defaultdict(int)
        for gram in own:
            for other in index.get(gram, ()):
                shared[other] += 1
        if any(count >= threshold * (len(own) + len(grams[other]) - count) for other, count in shared.items()):
            yield text


def _grams(text: str) -> frozenset[str]:
    padded = f"  {text} "
    return frozenset(padded[place : place + _GRAM] for place in range(len(padded) - _GRAM + 1))
