"""Which pairs a head generation is to hold: candidates joined with item features."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

from lore_core.headcache.generation import head_query_hash
from lore_core.headcache.items import Features, QueryItem, content_hash, item_hash
from lore_core.records.jsonl import read_records
from lore_core.records.pair import MAX_QUERY, Identifier, Word
from lore_core.strata.normaliser import query_key

CANDIDATES_NAME: Final = "candidates.jsonl"


class Candidate(BaseModel):
    """One line of `candidates.jsonl`: a query of one market and the items it is likely to be shown with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: Annotated[str, Strict(), StringConstraints(min_length=1, max_length=MAX_QUERY, pattern=r"\S")]
    market: Word = ""
    item_ids: tuple[Identifier, ...] = Field(min_length=1, max_length=10_000)


@dataclass(frozen=True, slots=True)
class WantedPair:
    """One pair to score, with the hashes its entry will have."""

    query: int
    item: int
    content: int
    record: QueryItem


@dataclass(frozen=True, slots=True)
class Wanted:
    """The pairs to score, each once, grouped by query; and how many candidate pairs name an item nobody knows."""

    pairs: tuple[WantedPair, ...]
    unknown_items: int

    @property
    def total(self) -> int:
        """Candidate pairs, known or not."""
        return len(self.pairs) + self.unknown_items


def read_candidates(folder: Path) -> Iterator[Candidate]:
    """Lines of a candidates artifact. Raises RecordError naming file, line and field."""
    return (line for _, line in read_records(folder / CANDIDATES_NAME, Candidate))


def wanted_pairs(candidates: Iterator[Candidate], items: dict[str, Features]) -> Wanted:
    """Join candidates with items. The first of several spellings of one query is the one that is scored."""
    seen: set[tuple[int, int]] = set()
    pairs: list[WantedPair] = []
    unknown = 0
    for candidate in candidates:
        query = head_query_hash(query_key(candidate.query), candidate.market)
        for item_id in candidate.item_ids:
            if (query, identity := item_hash(item_id)) in seen:
                continue
            seen.add((query, identity))
            item = items.get(item_id)
            if item is None:
                unknown += 1
                continue
            record = QueryItem.of(candidate.query, candidate.market, item)
            pairs.append(WantedPair(query, identity, content_hash(item), record))
    return Wanted(tuple(pairs), unknown)
