"""`python -m benchmarks.replay`: a week of simulated traffic builds strata, candidates and a head; the next day is replayed on it.

Strata come from `lore strata build`'s code, candidates from `lore head candidates`', lookups are the router's. The head's scores
are made up. Hits are counted by pair, as the router counts them, for the queries that the snapshot has in head. A request is
answered by the head where every pair is a hit; else its pairs go to the torso: all under the tier policy PerQuery, those that
missed under PerItem.

Cost is compute seconds of 1,000 requests beside every pair going to the language model, by service times that are measured in the
same run: a vLLM server for the torso and one for the tail, asked by the router's own code for pages as long as the day's. On a
CPU compute seconds are core-seconds of all processes of a predictor, with one thread for its sums unless OMP_NUM_THREADS says
otherwise; where there is a GPU, seconds by the clock of the one that it has. The head's lookups, in core-seconds, and its daily
changes, scored by the tail's model, are counted on the strata's side. --json writes service times and hits to a file, for
`lore plan --times`.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.replay.bill import (
    Bill,
    Seconds,
    Shown,
    everything_to_the_tail,
    lookup_seconds,
    most,
    service_times,
    stratified,
)
from benchmarks.replay.day import Built, Day, built, replay, week
from benchmarks.replay.models import Model, untrained_tail, untrained_torso
from benchmarks.replay.predictors import PAGES_AT_ONCE, Sizes, Timed, dtype, timed
from benchmarks.replay.traffic import Shape, Shop
from benchmarks.scoring.__main__ import machine
from lore_core.prompts import ContractError
from lore_core.router.config import TierPolicy
from lore_core.scoring.engine import gpu_present

TARGET_HITS: Final = 0.9
STRATA: Final = ("head", "torso", "tail")
TURNS: Final = (5, 16)
"""Turns of each predictor, and pages of a turn."""
SHORT_TURNS: Final = (1, 2)


@dataclass(frozen=True)
class Predictors:
    """Both tiers' models and how long they took."""

    models: dict[str, Model]
    times: dict[str, Timed]

    def source(self) -> str:
        """Where the service times come from, in a line."""
        whose = ", ".join(f"{tier} with {model.weights} weights" for tier, model in self.models.items())
        cores = f"{os.cpu_count()} cores, core-seconds: a replica is one core"
        on = "a GPU, GPU-seconds" if gpu_present() else cores
        return f"replay, vLLM on {on}; {whose}"


def main() -> int:
    args = arguments()
    shape = Shape(1_000, 2_000) if args.short else Shape(args.queries, args.requests)
    with tempfile.TemporaryDirectory(prefix="lore-replay-") as folder:
        root = Path(folder)
        models = chosen(args, root)
        print(machine(), flush=True)
        with contextlib.redirect_stderr(sys.stdout):
            made, day = simulated(shape, args, root)
        show_day(made, day)
        found = measured(models, Sizes(*(SHORT_TURNS if args.short else TURNS), shape.page))
    seconds = Seconds(lookup_seconds(day), found.times["torso"].seconds, found.times["tail"].seconds)
    show_predictors(found, seconds)
    show_bills(day, seconds, Shown(shape.page, shape.churn * made.pairs))
    if args.json is not None:
        times = service_times(day, seconds, found.source())
        args.json.write_text(times.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    return 1 if day.hits < TARGET_HITS / (2 if args.short else 1) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=50_000, help="a day")
    parser.add_argument("--top", type=int, default=200, help="candidates of a head query")
    parser.add_argument("--head-share", default="0.6")
    parser.add_argument("--seed", type=int, default=17)
    untrained = "else untrained weights of the demo's shape"
    parser.add_argument("--torso-model", type=Path, metavar="DIR", help=f"folder of the student; {untrained}")
    parser.add_argument("--tail-model", type=Path, metavar="DIR", help=f"folder of the language model; {untrained}")
    parser.add_argument("--json", type=Path, help="write service times here")
    parser.add_argument(
        "--short", action="store_true", help="for CI: a small shop, one turn; fails below half of the target"
    )
    return parser.parse_args()


def chosen(args: argparse.Namespace, root: Path) -> dict[str, Model]:
    """Both tiers' models; those that are given are read first, so that a wrong folder is told at once."""
    try:
        given = {
            tier: Model.given(folder)
            for tier, folder in (("torso", args.torso_model), ("tail", args.tail_model))
            if folder is not None
        }
    except ContractError as error:
        raise SystemExit(str(error)) from error
    return {
        "torso": given.get("torso") or untrained_torso(root / "torso-model"),
        "tail": given.get("tail") or untrained_tail(root / "tail-model"),
    }


def simulated(shape: Shape, args: argparse.Namespace, root: Path) -> tuple[Built, Day]:
    """A week, what is made of it, and the day after it."""
    shop = Shop(shape, args.seed)
    catalogue = week(shop, root / "log.jsonl")
    made = built(root / "log.jsonl", catalogue, args.top, args.head_share, root)
    return made, replay(shop.day(), made.strata, made.head)


def measured(models: dict[str, Model], sizes: Sizes) -> Predictors:
    print(
        f"predictors: pages of {sizes.page} pairs, {PAGES_AT_ONCE} at once, {sizes.turns} turns of {sizes.pages} pages, "
        f"{dtype()}",
        flush=True,
    )
    times = timed([*models.values()], sizes)
    return Predictors(models, dict(zip(models, times, strict=True)))


def show_day(made: Built, day: Day) -> None:
    """Hits by pair, and shares of the requests by stratum."""
    pairs, total = day.pairs.total(), day.requests.total()
    print(f"head: {made.queries:,} queries, {made.pairs:,} pairs, {made.covered:.1%} of its impressions of the week")
    print(f"next day: {total:,} requests; of {pairs:,} head pairs "
          + ", ".join(f"{name} {day.pairs[name] / max(1, pairs):.2%}" for name in ("hit", "stale", "miss")))  # fmt: skip
    for name in STRATA:
        asked_for, answered = day.requests[name] / total, day.answered[name] / total
        print(
            f"  {name:<6} {asked_for:7.2%} of requests by stratum, {answered:7.2%} by the tier that answered (PerQuery)"
        )


def show_predictors(found: Predictors, seconds: Seconds) -> None:
    """Compute time of a pair as median and range over the turns, and what a pair is."""
    for tier, took in found.times.items():
        model, each = found.models[tier], [1000 * turn for turn in took.each]
        print(
            f"  {tier:<6} {1000 * took.seconds:.2f} {unit()}-ms a pair [{min(each):.2f}, {max(each):.2f}], "
            f"{took.rate:.1f} pairs/s by the clock; {took.prompt_tokens:.0f} tokens a prompt, "
            f"{reasoning(model, took)}; {model.weights} weights; "
            f"router's side {1000 * took.router:.2f} core-ms a pair, not counted"
        )
    print(f"  head   {1000 * seconds.lookup:.3f} core-ms a request, for its lookup")


def reasoning(model: Model, times: Timed) -> str:
    """How long the model reasons before its label, which is then scored in a second request."""
    trace = model.kit.contract.trace
    return f"{times.output_tokens:.1f} tokens of reasoning (at most {trace.max_tokens})" if trace else "no reasoning"


def show_bills(day: Day, seconds: Seconds, shown: Shown) -> None:
    """Compute seconds of 1,000 requests under both policies, beside the language model alone."""
    alone = everything_to_the_tail(day, seconds, shown)
    print(f"every pair to the tail: {bill_text(alone)}")
    for policy in TierPolicy:
        bill = stratified(day, policy, seconds, shown)
        parts = ", ".join(
            f"{name} {share / bill.seconds:.1%}"
            for name, share in (
                ("lookups", bill.lookups),
                ("torso", bill.torso),
                ("tail", bill.tail),
                ("head's changes", bill.refresh),
            )
        )
        print(f"{policy:<8} {bill_text(bill)}: factor {bill.cheaper_than(alone):.2f} ({parts})")
    print(f"however slow the tail's model is, no factor of this traffic is above {most(day, shown):.2f}")


def bill_text(bill: Bill) -> str:
    return (
        f"{bill.per_thousand:,.1f} {unit()}-s / 1,000 requests, {bill.hours_per_million:,.1f} {unit()}-hours / million, "
        f"{bill.rate:,.1f} requests/s a {unit()}"
    )


def unit() -> str:
    """What computes: a core, or a GPU."""
    return "GPU" if gpu_present() else "core"


if __name__ == "__main__":
    sys.exit(main())
