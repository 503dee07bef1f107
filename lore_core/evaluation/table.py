"""One evaluation's answers as columns, in an order that depends on nothing but the pair ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import Floats, counts_by_query

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Categories:
    """A column of text as numbers into its sorted distinct values, so that one long value costs its length once."""

    codes: Codes
    values: tuple[str, ...]

    @staticmethod
    def of(column: Sequence[str]) -> "Categories":
        """Codes by the order of the text, whatever the order of the rows."""
        values = tuple(sorted(set(column)))
        number = {value: code for code, value in enumerate(values)}
        return Categories(np.fromiter((number[value] for value in column), np.int64, len(column)), values)

    def take(self, rows: NDArray[Any]) -> "Categories":
        """The chosen rows, with the same values."""
        return Categories(self.codes[rows], self.values)

    def equal(self, value: str) -> NDArray[np.bool_]:
        """Which rows hold `value`."""
        return np.asarray(self.codes == (self.values.index(value) if value in self.values else -1))


@dataclass(frozen=True)
class PairTable:
    """N answered pairs, sorted by pair id.

    `query` numbers the distinct queries 0..queries-1 in the order of their text; `gold` and `answer` are label codes
    (metrics.py); `flip` is the rule-flip group or -1; `fields` are the record fields a slice may name, as text; `measured` is
    what is known of each answer beside its label.
    """

    pair_ids: tuple[str, ...]
    query: Codes
    queries: int
    gold: NDArray[np.int8]
    answer: NDArray[np.int8]
    flip: Codes
    fields: Mapping[str, Categories]
    measured: Measured

    def __len__(self) -> int:
        return len(self.pair_ids)

    @staticmethod
    def build(
        pair_ids: Sequence[str],
        query: Sequence[str],
        gold: Sequence[int] | NDArray[np.int8],
        answer: Sequence[int] | NDArray[np.int8],
        fields: Mapping[str, Sequence[str]] | None = None,
        flip: Sequence[str] | None = None,
        measured: Measured | None = None,
    ) -> "PairTable":
        """From columns in any order. `flip` holds group names, "" for none. ValueError for a repeated pair id."""
        order = np.array(sorted(range(len(pair_ids)), key=pair_ids.__getitem__), dtype=np.int64)
        ids = tuple(pair_ids[row] for row in order)
        if repeated := next((one for one, other in pairwise(ids) if one == other), None):
            raise ValueError(f"pair id {repeated!r} occurs more than once")
        text, groups = Categories.of(query), Categories.of(flip or [""] * len(ids))
        return PairTable(
            pair_ids=ids,
            query=text.codes[order],
            queries=len(text.values),
            gold=np.asarray(gold, dtype=np.int8)[order],
            answer=np.asarray(answer, dtype=np.int8)[order],
            flip=np.where(groups.equal(""), -1, groups.codes)[order],
            fields={name: Categories.of(column).take(order) for name, column in (fields or {}).items()},
            measured=(measured or Measured.unknown(len(ids))).take(order),
        )

    def mask(self, where: Mapping[str, str]) -> NDArray[np.bool_]:
        """Which pairs have all of these field values; a field that no record has matches nothing."""
        chosen = np.ones(len(self), dtype=np.bool_)
        for name, value in where.items():
            chosen &= self.fields[name].equal(value) if name in self.fields else False
        return chosen

    def select(self, where: Mapping[str, str]) -> "PairTable":
        """The slice of pairs with these field values."""
        return self.rows(self.mask(where))

    def rows(self, chosen: NDArray[np.bool_]) -> "PairTable":
        """The chosen pairs, their queries numbered anew."""
        rows = np.flatnonzero(chosen)
        kept, codes = np.unique(self.query[rows], return_inverse=True)
        return PairTable(
            pair_ids=tuple(self.pair_ids[row] for row in rows),
            query=codes.astype(np.int64),
            queries=len(kept),
            gold=self.gold[rows],
            answer=self.answer[rows],
            flip=self.flip[rows],
            fields={name: column.take(rows) for name, column in self.fields.items()},
            measured=self.measured.take(rows),
        )

    @cached_property
    def counts(self) -> Floats:
        """Counts of each query, shape (queries, metrics.COLUMNS)."""
        return counts_by_query(self.gold, self.answer, self.query, self.queries, self.flip)

    @cached_property
    def totals(self) -> Floats:
        """Counts of the whole table, shape (metrics.COLUMNS,)."""
        return np.asarray(self.counts.sum(axis=0))
