"""Whether a benchmark's queries were seen in training: each pair's `leak` field, which gates and slices may name."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from lore_core.evaluation.metrics import Floats, ratio
from lore_core.evaluation.table import PairTable
from lore_core.records import Pair
from lore_core.records.leakage import NEAR_DUPLICATE, canonical_query, resembling

FIELD: Final = "leak"
NONE: Final = "none"
QUERY: Final = "query"
SIMILAR: Final = "similar"


def leak_fields(benchmark: Sequence[Pair], training: Iterable[str], threshold: float = NEAR_DUPLICATE) -> list[str]:
    """What each pair's query is to the training queries: `query` (respelled at most), `similar` or `none`.

    `training` are the texts of the queries trained on, streamed; `threshold` is the Jaccard similarity of character trigrams.
    """
    keys = [canonical_query(pair.query) for pair in benchmark]
    seen = {canonical_query(query) for query in training}
    near = set(resembling(seen, set(keys) - seen, threshold))
    return [QUERY if key in seen else SIMILAR if key in near else NONE for key in keys]


def leak_counts(table: PairTable) -> Floats:
    """Pairs that were checked, and those whose query leaked, of each query; shape (queries, 2)."""
    counts, column = np.zeros((table.queries, 2)), table.fields.get(FIELD)
    if column is not None:
        checked = ~column.equal("")
        for place, chosen in enumerate((checked, checked & ~column.equal(NONE))):
            counts[:, place] = np.bincount(table.query[chosen], minlength=table.queries)
    return counts


def leakage(counts: Floats) -> Floats:
    """Share of the checked pairs whose query is, or resembles, a training query."""
    return ratio(counts[..., 1], counts[..., 0])
