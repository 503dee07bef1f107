"""`lore plan`: traffic, boundaries and measured service times to replicas and GPU-hours of each tier."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from lore_core import output
from lore_core.artifacts.store import ArtifactError
from lore_core.capacity.plan import Fleet, HeadBuild, Load, Pair, Plan, Planner, Pool, TierNeed, zipf
from lore_core.capacity.service_times import ServiceTimes, read_service_times
from lore_core.jobs.errors import JobError
from lore_core.router.config import TierPolicy
from lore_core.strata.boundaries import Boundaries, Frequencies
from lore_core.strata.command import add_log_rules, log_rules
from lore_core.strata.curve import CHOICES
from lore_core.strata.log import LogError, column_map, log_files
from lore_core.strata.on_duckdb import DuckDb
from lore_core.strata.traffic import TrafficRules, count_traffic

_HEAD: Final = (
    "HEAD", "TORSO", "TAIL", "ROUTER CORES", "TORSO REPLICAS", "TAIL REPLICAS", "HELD", "USED", "HEAD BUILD", "TIMES LESS",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore plan`."""
    add = parser.add_argument
    add("--requests", type=float, required=True, help="requests a second at the peak")
    add("--mean-requests", type=float, help="and as the mean of a day (default: the peak)")
    add("--items", type=float, required=True, help="items a request")
    spread = parser.add_mutually_exclusive_group(required=True)
    spread.add_argument("--zipf", metavar="QUERIES,SKEW", help="traffic by Zipf's law, such as 1000000,1.05")
    spread.add_argument("--log", help="or by a query log: file, folder or pattern of .jsonl, .csv, .parquet, or a uri")
    add("--credentials", help="folder with the keys of the log's store")
    add("--column", action="append", default=[], metavar="FIELD=COLUMN", help="of the log: query, count, date, user")
    add_log_rules(parser)
    add("--boundaries", action="append", metavar="HEAD,TORSO", help="shares of traffic, repeatable (default: a grid)")
    add("--times", type=Path, required=True, help="service times: what python -m benchmarks.replay --json wrote")
    add(
        "--torso-gpus", type=float, default=1.0, help="GPUs of a torso replica; 0 for CPU, a part of 1 for a shared GPU"
    )
    add("--tail-gpus", type=float, default=1.0, help="GPUs of a tail replica")
    add("--least-replicas", type=int, default=1, help="of each tier (default 1)")
    add("--utilisation", type=float, default=0.7, help="share of time that a replica may be busy (default 0.7)")
    add("--tier-policy", type=TierPolicy, choices=[*TierPolicy], default=TierPolicy.PER_QUERY, help="router.tierPolicy")
    add("--candidates", type=int, default=200, help="items scored beforehand for a head query (default 200)")
    add("--churn", type=float, default=0.02, help="share of them that changes in a day (default 0.02)")
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the plans; 1 with the reason on stderr where the input does not allow one."""
    try:
        planner, boundaries = _planner(args), _boundaries(args.boundaries)
        plans = [*planner.plans(_frequencies(args), boundaries)]
    except (LogError, ArtifactError, JobError, ValueError, OSError) as error:
        print(f"lore plan: {error}", file=sys.stderr)
        return 1
    alone = planner.everything_to_the_tail()
    if args.output == "table":
        print(_text(planner, plans, alone))
    else:
        print(output.document(_document(planner, plans, alone), args.output))
    return 0


def _planner(args: argparse.Namespace) -> Planner:
    mean = args.mean_requests if args.mean_requests is not None else args.requests
    least = args.least_replicas
    return Planner(
        Load(args.requests, mean, args.items),
        read_service_times(args.times),
        Fleet(Pool(args.torso_gpus, least), Pool(args.tail_gpus, least), args.utilisation, args.tier_policy),
        HeadBuild(args.candidates, args.churn),
    )


def _boundaries(given: Sequence[str] | None) -> tuple[Pair, ...]:
    return tuple(map(_pair, given)) if given else CHOICES


def _pair(text: str) -> Pair:
    try:
        head, torso = text.split(",")
        checked = Boundaries(head, torso)
        return Fraction(checked.head), Fraction(checked.torso)
    except ValueError as error:
        raise ValueError(
            f"--boundaries {text}: write HEAD,TORSO as shares of the traffic, 0.5,0.3 ({error})"
        ) from error


def _frequencies(args: argparse.Namespace) -> Frequencies:
    if args.zipf is not None:
        return _zipf(args.zipf)
    with tempfile.TemporaryDirectory(prefix="lore-plan-") as work:
        files = log_files(args.log, Path(work) / "log", args.credentials)
        with DuckDb(Path(work) / "duckdb", args.memory) as connection:
            rules = TrafficRules(log_rules(args))
            traffic = count_traffic(connection, files, column_map(args.column), rules)
            found = traffic.frequencies()
    if not found.queries:
        raise LogError(f"{args.log}: no query in it that counts: {traffic.summary()}")
    return found


def _zipf(text: str) -> Frequencies:
    try:
        queries, skew = text.split(",")
        count, exponent = int(queries), float(skew)
    except ValueError as error:
        raise ValueError(f"--zipf {text}: write QUERIES,SKEW, such as 1000000,1.05") from error
    return zipf(count, exponent)


def _less(plan: Plan, alone: TierNeed) -> float | None:
    """How many times the plan's used GPU-hours the language model alone would use."""
    return alone.used / plan.used if plan.used else None


def _text(planner: Planner, plans: list[Plan], alone: TierNeed) -> str:
    rows = [_HEAD, *(_row(plan, _less(plan, alone)) for plan in plans)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    table = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    load = planner.load
    return "\n".join(
        (
            f"{load.peak:g} requests/s at the peak, {load.mean:g} in the mean, {load.items:g} items each",
            _words(planner.times),
            f"the tail tier alone: {alone.replicas} replicas, {alone.held:,.1f} GPU-hours a day held, {alone.used:,.1f} used",
            "",
            *table,
            "",
            "HELD, USED: GPU-hours a day of both predictors' replicas, and of the mean load with the head's daily changes.",
            "HEAD BUILD: GPU-hours to score the whole head once. TIMES LESS: GPU-hours used by the tail tier alone, over USED.",
            "The share of head hits is taken to be the same for all boundaries.",
        )
    )


def _words(times: ServiceTimes) -> str:
    return (
        f"service times ({times.source}): torso {times.torso_pair_seconds:g} s and tail {times.tail_pair_seconds:g} s a pair, "
        f"head {times.head_request_seconds:g} s a request; head hits {times.head_pair_hits:.1%} of pairs, "
        f"{times.head_request_hits:.1%} of requests"
    )


def _row(plan: Plan, less: float | None) -> tuple[str, ...]:
    shares = (f"{share:.1%}" for share in plan.choice.shares)
    replicas = (str(plan.torso.replicas), str(plan.tail.replicas))
    hours = (f"{hours:,.1f}" for hours in (plan.held, plan.used, plan.build))
    return (*shares, f"{plan.router_cores:.2f}", *replicas, *hours, "-" if less is None else f"{less:.2f}")


def _document(planner: Planner, plans: list[Plan], alone: TierNeed) -> dict[str, Any]:
    return {
        "serviceTimes": planner.times.model_dump(by_alias=True),
        "load": {"peak": planner.load.peak, "mean": planner.load.mean, "items": planner.load.items},
        "tailAlone": _tier(alone),
        "plans": [_plain(plan, _less(plan, alone)) for plan in plans],
    }


def _plain(plan: Plan, less: float | None) -> dict[str, Any]:
    strata = ("head", "torso", "tail")
    return {
        "shares": dict(zip(strata, plan.choice.shares, strict=True)),
        "queries": dict(zip(strata, plan.choice.queries, strict=True)),
        "routerCores": plan.router_cores,
        "torso": _tier(plan.torso),
        "tail": _tier(plan.tail),
        "gpuHoursHeld": plan.held,
        "gpuHoursUsed": plan.used,
        "headBuildGpuHours": plan.build,
        "timesLess": less,
    }


def _tier(need: TierNeed) -> dict[str, Any]:
    return {
        "pairsPerSecond": need.pairs, "replicas": need.replicas, "gpuHoursHeld": need.held, "gpuHoursUsed": need.used,
    }  # fmt: skip
