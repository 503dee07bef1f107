"""`python -m benchmarks.replay`: a week of simulated traffic builds strata, candidates and a head; the next day is replayed on it.

Strata come from `lore strata build`'s code, candidates from `lore head candidates`', lookups are the router's. Scores are made
up: no model runs. Hits are counted by pair, as the router counts them, for the queries that the snapshot has in head. A
request is answered by the head where every pair is a hit; else its pairs go to the next stratum's predictor: all under the tier
policy PerQuery, those that missed under PerItem.

Cost is compute seconds of 1,000 requests beside every pair going to the language model. The head's seconds a request are measured
here. Seconds a pair of a predictor are given by --torso and --tail; without them they are those of the stub of
benchmarks/router, one for both, so that the factor then says only how many pairs reach a predictor. --json writes service times and
hits to a file, for `lore plan --times`.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.replay.traffic import Request, Shape, Shop
from benchmarks.router.__main__ import running
from lore_core.capacity.service_times import ServiceTimes
from lore_core.headcache import Features, HeadEntry, HeadGeneration, content_hash, item_hash
from lore_core.headcache.candidates import read_candidates, wanted_pairs
from lore_core.headcache.generation import generation_bytes, head_query_hash
from lore_core.headcache.impressions import CandidateRecipe, write_candidates
from lore_core.router.upstream import Upstream
from lore_core.strata import StrataSnapshot, query_key
from lore_core.strata.boundaries import Boundaries
from lore_core.strata.build import Recipe, build
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.traffic import TrafficRules

DAYS = 7
TARGET_HITS = 0.9
STRATA = ("head", "torso", "tail")
WINDOW = RowRules(Window(days=DAYS, half_life=3.0))


@dataclass
class Day:
    """What the replayed day came to."""

    pairs: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def week(shop: Shop, log: Path) -> dict[str, Features]:
    """Write a week's impressions, one row a shown item; returns the catalogue as it was last shown."""
    known: dict[str, Features] = {}
    with log.open("w", encoding="utf-8") as stream:
        for day in range(DAYS):
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


def head_of(
    log: Path, catalogue: dict[str, Features], top: int, head_share: str, root: Path
) -> tuple[StrataSnapshot, HeadGeneration]:

    recipe = Recipe(boundaries=Boundaries(head_share, "0.2"), traffic=TrafficRules(WINDOW))
    build([log], recipe, root / "strata", root / "work-strata")
    strata = StrataSnapshot.open(root / "strata")
    chosen = write_candidates(
        [log], strata, CandidateRecipe(top, WINDOW, new_days=1), root / "candidates", root / "work-candidates"
    )
    print(
        f"head: {chosen.queries:,} queries, {chosen.pairs:,} pairs, {chosen.covered:.1%} of its impressions of the week"
    )
    wanted = wanted_pairs(read_candidates(root / "candidates"), catalogue)
    (root / "head.bin").write_bytes(
        generation_bytes(HeadEntry(p.query, p.item, p.content, (0.25, 0.25, 0.25, 0.25)) for p in wanted.pairs)
    )
    return strata, HeadGeneration.open(root)


def replay(requests: Iterable[Request], strata: StrataSnapshot, head: HeadGeneration) -> Day:
    found = Day()
    for request in requests:
        started = time.perf_counter()
        key = query_key(request.query)
        stratum = strata.stratum_of_key(key)
        answered: str = stratum
        if stratum == "head":
            items = np.array([item_hash(name) for name, _ in request.items], dtype=np.uint64)
            content = np.array([content_hash(Features(title)) for _, title in request.items], dtype=np.uint64)
            lookup = head.lookup(head_query_hash(key, ""), items, content)
            hits, stale = int(lookup.hit.sum()), int(lookup.stale.sum())
            found.pairs.update(hit=hits, stale=stale, miss=len(items) - hits - stale)
            found.seconds.append(time.perf_counter() - started)
            answered = "head" if hits == len(items) else "torso"
        found.requests[stratum] += 1
        found.answered[answered] += 1
    return found


def stub_seconds() -> float:
    """Median seconds of one pair at the stub, over the router's own connections."""

    async def ask(port: int) -> float:
        upstream, times = Upstream(f"http://127.0.0.1:{port}", 1), []
        for _ in range(500):
            started = time.perf_counter()
            await upstream.post("/classify", {"model": "m", "input": list(range(40))})
            times.append(time.perf_counter() - started)
        upstream.retire()
        return statistics.median(times)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with running([sys.executable, "-m", "benchmarks.router.stub", str(port)], port, 0):
        return asyncio.run(ask(port))


def report(day: Day, shape: Shape, torso: float, tail: float, said: str) -> float:
    """Print the day; returns the share of hits."""
    pairs, total = day.pairs.total(), sum(day.requests.values())
    share = day.pairs["hit"] / pairs
    print(f"next day: {total:,} requests; of {pairs:,} head pairs "
          + ", ".join(f"{name} {day.pairs[name] / pairs:.2%}" for name in ("hit", "stale", "miss")))  # fmt: skip
    for name in STRATA:
        asked_for, answered = day.requests[name] / total, day.answered[name] / total
        print(f"  {name:<6} {asked_for:7.2%} of requests by stratum, {answered:7.2%} by the tier that answered")
    lookup = statistics.mean(day.seconds) if day.seconds else 0.0
    looked_up, everything = day.requests["head"] * lookup, tail * shape.page * total
    below = (day.requests["torso"] * torso + day.requests["tail"] * tail) * shape.page
    for policy, open_pairs in (
        ("PerQuery", (day.requests["head"] - day.answered["head"]) * shape.page),
        ("PerItem", day.pairs["stale"] + day.pairs["miss"]),
    ):
        ours = looked_up + below + open_pairs * torso
        print(
            f"{policy:<8} {ours / total * 1000:.3f} compute s / 1,000 requests, beside {everything / total * 1000:.3f} where every "
            f"pair goes to the tail tier: factor {everything / ours:.2f}"
        )
    print(
        f"seconds a pair, {said}: torso {torso:.6f}, tail {tail:.6f}; head lookup {lookup:.6f} a request, measured here"
    )
    return share


def service_times(day: Day, torso: float, tail: float, source: str) -> ServiceTimes:
    """What a plan of capacity needs of the day."""
    return ServiceTimes(
        source=source,
        head_request_seconds=statistics.mean(day.seconds) if day.seconds else 0.0,
        torso_pair_seconds=torso,
        tail_pair_seconds=tail,
        head_pair_hits=day.pairs["hit"] / max(1, day.pairs.total()),
        head_request_hits=day.answered["head"] / max(1, day.requests["head"]),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=50_000, help="a day")
    parser.add_argument("--top", type=int, default=200, help="candidates of a head query")
    parser.add_argument("--head-share", default="0.6")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--torso", type=float, help="compute seconds of a pair at the torso's predictor")
    parser.add_argument("--tail", type=float, help="and at the tail's")
    parser.add_argument("--json", type=Path, help="write service times here")
    parser.add_argument("--short", action="store_true", help="for CI: a small shop; fails below half of the target")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if (args.torso is None) != (args.tail is None):
        raise SystemExit("give both --torso and --tail")
    shape = Shape(2_000, 4_000) if args.short else Shape(args.queries, args.requests)
    shop = Shop(shape, args.seed)
    with tempfile.TemporaryDirectory(prefix="lore-replay-") as folder, contextlib.redirect_stderr(sys.stdout):
        root = Path(folder)
        catalogue = week(shop, root / "log.jsonl")
        strata, head = head_of(root / "log.jsonl", catalogue, args.top, args.head_share, root)
        day = replay(shop.day(), strata, head)
    stub = stub_seconds() if args.tail is None else 0.0
    torso, tail = (stub, stub) if args.tail is None else (args.torso, args.tail)
    if args.json is not None:
        source = "replay, predictors: stub" if args.tail is None else "replay, predictors: given"
        times = service_times(day, torso, tail, source)
        args.json.write_text(times.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    share = report(day, shape, torso, tail, "of the stub" if args.tail is None else "given")
    return 1 if share < TARGET_HITS / (2 if args.short else 1) else 0


if __name__ == "__main__":
    sys.exit(main())
