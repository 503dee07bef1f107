"""Search traffic over the world's queries: a Zipf-distributed log and the candidates of its head."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from lore_core.benchmark.stream import Stream
from lore_core.benchmark.vocabulary import CENTRAL
from lore_core.benchmark.world import SUBSETS, World
from lore_core.records.pair import Pair

DAYS: Final = 14
_FIRST_DAY: Final = 1
_SKEW: Final = 1.1


def ranked_queries(world: World) -> list[str]:
    """Distinct queries of the central market's gate and tune pairs, most frequent first."""
    subsets = [subset for subset in SUBSETS if subset != "rules"]
    found = {pair.query for split in ("gate", "tune") for subset in subsets for pair in world.pairs(split, subset)}
    return Stream(f"traffic-1/{world.seed}").shuffled(sorted(found))


def daily_counts(world: World, queries: Sequence[str], events: int) -> Iterator[dict[str, Any]]:
    """`query`, `date`, `count` rows: about `events` searches over two weeks, frequency of rank r as r**-1.1."""
    weights = [int(1_000_000 / (rank + 1) ** _SKEW) for rank in range(len(queries))]
    total = sum(weights)
    stream = Stream(f"log-1/{world.seed}")
    for day in range(DAYS):
        for query, weight in zip(queries, weights, strict=True):
            expected = events * weight * 1_000 // (total * DAYS)
            count = expected // 1_000 + (stream.below(1_000) < expected % 1_000)
            if count:
                yield {"query": query, "date": f"2026-11-{_FIRST_DAY + day:02d}", "count": count}


def candidates(pairs: Sequence[Pair], head: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The items to score ahead of time for each head query of the central market."""
    items: dict[str, list[str]] = {query: [] for query in head}
    for pair in pairs:
        if pair.market == CENTRAL and pair.query in items and pair.item_id not in items[pair.query]:
            items[pair.query].append(pair.item_id)
    yield from ({"query": query, "market": CENTRAL, "item_ids": found} for query, found in items.items())
