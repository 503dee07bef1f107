"""Answers of several seeds together: a seed's world has queries of its own, so whole queries of all of them are drawn."""

from collections.abc import Callable, Iterable

from lore_core.evaluation.table import PairTable
from lore_core.records import LABELS, Pair


def pooled(rows: Iterable[tuple[int, Pair, int]], field: str, value: Callable[[Pair], str]) -> PairTable:
    """Rows of seed, pair and answered label (0..3) in one table, which can be told apart by the value of one field."""
    seeds, pairs, answers = zip(*rows, strict=True)
    return PairTable.build(
        [f"{seed}/{pair.id}" for seed, pair in zip(seeds, pairs, strict=True)],
        [f"{seed} {pair.query}" for seed, pair in zip(seeds, pairs, strict=True)],
        [LABELS.index(pair.groundtruth) for pair in pairs],
        answers,
        {field: [value(pair) for pair in pairs]},
    )
