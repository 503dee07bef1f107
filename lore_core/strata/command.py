"""`lore strata build`: a query log to a published strata snapshot, and a page to choose boundaries from."""

import argparse
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Final

from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import ArtifactError, file_digest, publish, verify
from lore_core.jobs.errors import JobError
from lore_core.strata.boundaries import Boundaries, Rule
from lore_core.strata.build import Built, Recipe, build, build_on
from lore_core.strata.curve import Cost
from lore_core.strata.engine import MEMORY
from lore_core.strata.log import LogError, column_map, log_files
from lore_core.strata.pins import read_pins
from lore_core.strata.report import report_html
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.snapshot import KEY_BYTES, StrataSnapshot
from lore_core.strata.traffic import TrafficRules, Trend

_DEFAULTS: Final = {Rule.SHARE: ("0.5", "0.3"), Rule.TOP: ("0", "0"), Rule.COUNT: ("", "")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore strata build`."""
    add = parser.add_argument
    add(
        "--log", required=True, help="file, folder or pattern of .jsonl, .csv, .parquet, or an artifact's or file's uri"
    )
    add("--output", required=True, help="where to publish: pvc://CLAIM/PATH, s3://BUCKET/PATH, file:///PATH")
    add("--credentials", help="folder with the keys of the stores' Secret")
    add("--column", action="append", default=[], metavar="FIELD=COLUMN", help="fields: query, count, date, user")
    add("--previous", help="uri of the snapshot that serves now; queries near a boundary stay where it has them")
    add("--previous-digest", help="its digest")
    add("--hysteresis", default="0.1", help="margin around a boundary, as a share of it (default 0.1)")
    add("--head-share", help="share of traffic that is head (default 0.5)")
    add("--torso-share", help="share of traffic that is torso (default 0.3)")
    add("--head-top", help="instead: the number of head queries")
    add("--torso-top", help="and of torso queries")
    add("--head-count", help="instead: the least requests of a head query")
    add("--torso-count", help="and of a torso query")
    add("--pins", type=Path, help='JSONL: {"query": text, "stratum": "head"|"torso"|"tail"} a line')
    add("--hash-key", type=Path, help=f"file with the {KEY_BYTES} bytes that key the query hashes")
    add(
        "--spark",
        metavar="MASTER",
        help="count with Spark instead of DuckDB, at this master: local[4], spark://HOST:PORT",
    )
    add("--report", type=Path, help="write a page here: frequency curve, shares and cost of other boundaries")
    add("--cost", metavar="HEAD,TORSO,TAIL", help="compute seconds of one request in each stratum, for the report")
    add_log_rules(parser)
    add("--trend-factor", type=float, help="lift queries whose last days have this many times the requests a day")
    add("--trend-days", type=int, default=1, help="how many last days (default 1)")
    add("--trend-least", type=int, default=50, help="and at least so many requests in them (default 50)")


def add_log_rules(parser: argparse.ArgumentParser) -> None:
    """Arguments on which rows of a log count; the same for query and impression logs."""
    add = parser.add_argument
    add("--window-days", type=int, help="count only the last days; rows need a date")
    add("--half-life-days", type=float, help="a request of so many days ago weighs half; rows need a date")
    add("--until", type=date.fromisoformat, help="last day of the window (default: the log's last busy day)")
    add("--bot-limit", type=int, help="leave out users with more requests on one day; rows need date and user")
    add("--memory", default=MEMORY, help=f"DuckDB spills beyond this (default {MEMORY})")
    add("--max-broken-share", type=float, default=0.001, help="refuse a log with more broken rows (default 0.001)")


def log_rules(args: argparse.Namespace) -> RowRules:
    """The rules that the arguments give. Raises ValueError."""
    window = None
    if args.window_days is not None or args.half_life_days is not None or args.until is not None:
        window = Window(args.window_days or Window.days, args.half_life_days, args.until)
    return RowRules(window, args.bot_limit, args.max_broken_share)


def run(args: argparse.Namespace) -> int:
    """Build and publish; prints the strata and the artifact's digest."""
    try:
        with tempfile.TemporaryDirectory(prefix="lore-strata-") as work:
            return _build(args, Path(work))
    except (LogError, ArtifactError, JobError, ValueError, OSError) as error:
        print(f"lore strata build: {error}", file=sys.stderr)
        return 1


def _build(args: argparse.Namespace, work: Path) -> int:
    recipe, cost = _recipe(args), _cost(args.cost)
    inputs: dict[str, str] = {}
    previous = _previous(args, work / "previous", inputs)
    files = log_files(args.log, work / "log", args.credentials)
    built = _built(args, files, recipe, work, previous)
    inputs |= {_log_name(files, number): file_digest(path)[0] for number, path in enumerate(files)}
    ref = publish(work / "out", ArtifactRef(uri=args.output, credentials=args.credentials), "strata", inputs=inputs)
    if args.report is not None:
        args.report.write_text(report_html(built, recipe, cost), encoding="utf-8")
    _print(built)
    print(f"{ref.uri} {ref.digest}")
    return 0


def _built(
    args: argparse.Namespace, files: list[Path], recipe: Recipe, work: Path, previous: StrataSnapshot | None
) -> Built:
    if args.spark is None:
        return build(files, recipe, work / "out", work / "duckdb", previous)
    from lore_core.strata.on_spark import Spark

    with Spark(args.spark, work / "spark", recipe.memory) as engine:
        return build_on(engine, files, recipe, work / "out", previous)


def _log_name(files: list[Path], number: int) -> str:
    return "log" if len(files) == 1 else f"log-{number}"


def _previous(args: argparse.Namespace, folder: Path, inputs: dict[str, str]) -> StrataSnapshot | None:
    if args.previous is None:
        return None
    ref = ArtifactRef(uri=args.previous, digest=args.previous_digest, credentials=args.credentials)
    inputs["previous"] = verify(ref, folder).digest
    return StrataSnapshot.open(folder)


def _recipe(args: argparse.Namespace) -> Recipe:
    trend = Trend(args.trend_factor, args.trend_days, args.trend_least) if args.trend_factor is not None else None
    return Recipe(
        boundaries=_boundaries(args),
        traffic=TrafficRules(log_rules(args), trend),
        columns=column_map(args.column),
        pins=read_pins(args.pins) if args.pins is not None else {},
        hysteresis=args.hysteresis,
        secret=args.hash_key.read_bytes() if args.hash_key is not None else None,
        memory=args.memory,
    )


def _boundaries(args: argparse.Namespace) -> Boundaries:
    given = {rule: (getattr(args, f"head_{rule}"), getattr(args, f"torso_{rule}")) for rule in Rule}
    used = [rule for rule, values in given.items() if values != (None, None)] or [Rule.SHARE]
    if len(used) > 1:
        raise ValueError(f"give boundaries by one of share, top, count; given are {' and '.join(used)}")
    head, torso = (
        value if value is not None else d for value, d in zip(given[used[0]], _DEFAULTS[used[0]], strict=True)
    )
    if not (head and torso):
        raise ValueError("give both --head-count and --torso-count")
    return Boundaries(head, torso, used[0])


def _cost(text: str | None) -> Cost | None:
    if text is None:
        return None
    try:
        head, torso, tail = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--cost {text}: write three numbers of seconds: HEAD,TORSO,TAIL") from error
    return Cost(head, torso, tail)


def _print(built: Built) -> None:
    everything = sum(count.requests for count in built.counts.values()) or 1
    print(f"{'stratum':<8}{'queries':>12}{'requests':>14}{'share':>8}")
    for name, count in built.counts.items():
        print(f"{name:<8}{count.queries:>12,}{count.requests:>14,}{count.requests / everything:>8.1%}")
    facts = built.log | built.moved
    print("log: " + ", ".join(f"{name} {value}" for name, value in facts.items() if value not in (None, 0)))
    for problem in built.counted.problems:
        print(f"broken: {problem}", file=sys.stderr)
