"""`head.bin`, format version 1: scores by query and item, bound to item content, memory-mapped (docs/formats/head.md)."""

import mmap
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.strata.normaliser import NORMALISER_VERSION, query_hash

BIN_NAME: Final = "head.bin"
JSON_NAME: Final = "head.json"
MAGIC: Final = b"LOREHEAD"
FORMAT_VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sIIQQ32x")
_ENTRY_BYTES: Final = 8 + 8 + 4 * 4

Hashes = npt.NDArray[np.uint64]
Scores = npt.NDArray[np.float32]


class GenerationError(ValueError):
    """A file that is not a whole head generation of a known version; the message names it."""

    reason = "BadHeadGeneration"


@dataclass(frozen=True, slots=True)
class HeadEntry:
    """One scored pair: hashes of market and query key, item id, item content; probabilities in the order L1 L2 L3 L4."""

    query: int
    item: int
    content: int
    probabilities: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Lookup:
    """For n items asked: `hit` (score found for this very content), `stale` (found for another content), scores n×4.

    Scores of items that are not hits are zero and mean nothing.
    """

    hit: npt.NDArray[np.bool_]
    stale: npt.NDArray[np.bool_]
    probabilities: Scores


def head_query_hash(key: str, market: str) -> int:
    """Hash of a query key in one market: the same words are another question where other rules hold."""
    return query_hash(f"{market}\n{key}")


class HeadGeneration:
    """A mapped generation. Lookups are vectorised and touch only the pages of their query."""

    def __init__(self, data: mmap.mmap | bytes, source: str) -> None:
        """Raises GenerationError; use `open`."""
        if len(data) < _HEADER.size:
            raise GenerationError(f"{source}: {len(data)} bytes are no generation; fetch it again")
        magic, version, normaliser, queries, entries = _HEADER.unpack_from(data)
        if magic != MAGIC or version != FORMAT_VERSION:
            raise GenerationError(f"{source}: not a head generation of format {FORMAT_VERSION}; build it again")
        if normaliser != NORMALISER_VERSION:
            raise GenerationError(
                f"{source}: made with normaliser {normaliser}, this is {NORMALISER_VERSION}; build the generation again"
            )
        size = _HEADER.size + 8 * queries + 8 * (queries + 1) + _ENTRY_BYTES * entries
        if len(data) != size:
            raise GenerationError(f"{source}: {len(data)} bytes, {entries} entries of {queries} queries need {size}")
        self._entries: int = entries
        self._map(data, queries, entries)

    def _map(self, data: Any, queries: int, entries: int) -> None:
        view, at = memoryview(data), _HEADER.size
        self._queries, at = view[at : at + 8 * queries].cast("Q"), at + 8 * queries
        self._starts, at = view[at : at + 8 * (queries + 1)].cast("Q"), at + 8 * (queries + 1)
        self._items: Hashes = np.frombuffer(data, dtype="<u8", count=entries, offset=at)
        self._content: Hashes = np.frombuffer(data, dtype="<u8", count=entries, offset=at + 8 * entries)
        scores = np.frombuffer(data, dtype="<f4", count=4 * entries, offset=at + 16 * entries)
        self._scores: Scores = scores.reshape(entries, 4)

    @classmethod
    def open(cls, folder: Path) -> "HeadGeneration":
        """Map the generation of an artifact's folder. Raises GenerationError, or FileNotFoundError."""
        path = folder / BIN_NAME
        with path.open("rb") as stream:
            if path.stat().st_size == 0:
                raise GenerationError(f"{path}: empty; fetch it again")
            return cls(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), str(path))

    def __len__(self) -> int:
        """Scored pairs."""
        return self._entries

    def pairs_of(self, query: int) -> int:
        """Scored pairs of one query."""
        start, end = self._span(query)
        return end - start

    def entries(self) -> Iterator[HeadEntry]:
        """Every entry, grouped by query."""
        for query, start, end in zip(self._queries, self._starts, self._starts[1:], strict=False):
            rows = zip(
                self._items[start:end].tolist(), self._content[start:end].tolist(), self._scores[start:end].tolist(),
                strict=True,
            )  # fmt: skip
            yield from (HeadEntry(query, item, content, tuple(scores)) for item, content, scores in rows)

    def lookup(self, query: int, items: Hashes, content: Hashes) -> Lookup:
        """Scores of one query's items, by `head_query_hash`, item hashes and content hashes (all of one length n)."""
        start, end = self._span(query)
        return self._find(self._items[start:end], np.arange(start, end), items, content)

    def lookup_texts(self, query: int, content: Hashes) -> Lookup:
        """Scores of texts without an item id: a text is its own identity, so there are no stale ones."""
        start, end = self._span(query)
        order = np.argsort(self._content[start:end], kind="stable") + start
        return self._find(self._content[order], order, content, content)

    def _span(self, query: int) -> tuple[int, int]:
        at = bisect_left(self._queries, query)
        if at == len(self._queries) or self._queries[at] != query:
            return 0, 0
        return int(self._starts[at]), int(self._starts[at + 1])

    def _find(self, table: Hashes, rows: npt.NDArray[np.intp], wanted: Hashes, content: Hashes) -> Lookup:
        n = len(wanted)
        if not len(table):
            return Lookup(np.zeros(n, bool), np.zeros(n, bool), np.zeros((n, 4), np.float32))
        at = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
        known, row = table[at] == wanted, rows[at]
        same = self._content[row] == content
        hit = known & same
        return Lookup(hit, known & ~same, np.where(hit[:, None], self._scores[row], np.float32(0)))


def generation_bytes(entries: Iterable[HeadEntry]) -> bytes:
    """The file for some entries, whatever their order. ValueError where a pair occurs twice."""
    ordered = sorted(entries, key=lambda entry: (entry.query, entry.item))
    pairs = [(entry.query, entry.item) for entry in ordered]
    if len(set(pairs)) != len(pairs):
        raise ValueError("a pair of query and item occurs twice")
    starts: dict[int, int] = {}
    for index, entry in enumerate(ordered):
        starts.setdefault(entry.query, index)
    header = _HEADER.pack(MAGIC, FORMAT_VERSION, NORMALISER_VERSION, len(starts), len(ordered))
    return b"".join(
        (
            header,
            np.array(list(starts), dtype="<u8").tobytes(),
            np.array([*starts.values(), len(ordered)], dtype="<u8").tobytes(),
            np.array([entry.item for entry in ordered], dtype="<u8").tobytes(),
            np.array([entry.content for entry in ordered], dtype="<u8").tobytes(),
            np.array([entry.probabilities for entry in ordered], dtype="<f4").tobytes(),
        )
    )
