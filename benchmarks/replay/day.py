"""A week of traffic becomes strata, candidates and a head by the platform's own code; the next day is looked up in them."""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.replay.traffic import Request, Shop
from lore_core.headcache import Features, HeadEntry, HeadGeneration, content_hash, item_hash
from lore_core.headcache.candidates import read_candidates, wanted_pairs
from lore_core.headcache.generation import generation_bytes, head_query_hash
from lore_core.headcache.impressions import CandidateRecipe, write_candidates
from lore_core.strata import StrataSnapshot, query_key
from lore_core.strata.boundaries import Boundaries
from lore_core.strata.build import Recipe, build
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.traffic import TrafficRules

_DAYS: Final = 7
_WINDOW: Final = RowRules(Window(days=_DAYS, half_life=3.0))
_TORSO_SHARE: Final = "0.2"


@dataclass
class Day:
    """What the replayed day came to: pairs of head queries by hit, stale, miss; requests by stratum and by who answered.

    `seconds` are those of one core for each head request's lookup.
    """

    pairs: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def hits(self) -> float:
        """Share of the head queries' pairs that the generation has, by pair."""
        return self.pairs["hit"] / max(1, self.pairs.total())


@dataclass(frozen=True)
class Built:
    """What the week's log was made into; `queries` and `pairs` are the head's, `covered` the share of its impressions."""

    strata: StrataSnapshot
    head: HeadGeneration
    queries: int
    pairs: int
    covered: float


def week(shop: Shop, log: Path) -> dict[str, Features]:
    """Write a week's impressions, one row a shown item; returns the catalogue as it was last shown."""
    known: dict[str, Features] = {}
    with log.open("w", encoding="utf-8") as stream:
        for day in range(_DAYS):
            shown: Counter[tuple[str, str]] = Counter()
            for request in shop.day():
                for name, title in request.items:
                    shown[request.query, name] += 1
                    known[name] = Features(title)
            for (query, name), count in shown.items():
                row = {"query": query, "item_id": name, "date": f"2026-11-{1 + day:02d}", "count": count}
                stream.write(json.dumps(row) + "\n")
            shop.next_day()
    return known


def built(log: Path, catalogue: dict[str, Features], top: int, head_share: str, root: Path) -> Built:
    """Strata and a head of the log, below `root`; the head's scores are made up, since a lookup does not depend on them."""
    recipe = Recipe(boundaries=Boundaries(head_share, _TORSO_SHARE), traffic=TrafficRules(_WINDOW))
    build([log], recipe, root / "strata", root / "work-strata")
    strata = StrataSnapshot.open(root / "strata")
    candidates = CandidateRecipe(top, _WINDOW, new_days=1)
    chosen = write_candidates([log], strata, candidates, root / "candidates", root / "work-candidates")
    wanted = wanted_pairs(read_candidates(root / "candidates"), catalogue)
    (root / "head.bin").write_bytes(
        generation_bytes(HeadEntry(p.query, p.item, p.content, (0.25, 0.25, 0.25, 0.25)) for p in wanted.pairs)
    )
    return Built(strata, HeadGeneration.open(root), chosen.queries, len(wanted.pairs), chosen.covered)


def replay(requests: Iterable[Request], strata: StrataSnapshot, head: HeadGeneration) -> Day:
    """Look a day's requests up as the router does, one after the other."""
    found = Day()
    for request in requests:
        started = time.thread_time()
        key = query_key(request.query)
        stratum = strata.stratum_of_key(key)
        answered: str = stratum
        if stratum == "head":
            items = np.array([item_hash(name) for name, _ in request.items], dtype=np.uint64)
            content = np.array([content_hash(Features(title)) for _, title in request.items], dtype=np.uint64)
            lookup = head.lookup(head_query_hash(key, ""), items, content)
            hits, stale = int(lookup.hit.sum()), int(lookup.stale.sum())
            found.pairs.update(hit=hits, stale=stale, miss=len(items) - hits - stale)
            found.seconds.append(time.thread_time() - started)
            answered = "head" if hits == len(items) else "torso"
        found.requests[stratum] += 1
        found.answered[answered] += 1
    return found
