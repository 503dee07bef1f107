"""`lore route replay`: a request log asked of two routers or compositions, and a page of what differs."""

import argparse
import asyncio
import json
import sys
from contextlib import closing
from pathlib import Path

from lore_core.progress import counted
from lore_core.replay.compare import Difference
from lore_core.replay.log import ReplayError, RequestLog, read_log
from lore_core.replay.page import page
from lore_core.replay.sides import ask_both, side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore route replay`."""
    add = parser.add_argument
    where = (
        "a router's address, or FILE[#REVISION]: its router.json, and which composition of it (default: the stable one)"
    )
    add("log", type=Path, help="JSONL: a body of POST /v1/relevance a line, or candidates.jsonl")
    add("--before", required=True, help=where)
    add("--after", required=True, help="the same")
    add("--page", type=Path, help="write the difference here as HTML; it shows queries and titles")
    add("--json", type=Path, help="write its figures here")
    add("--limit", type=int, default=10_000, help="ask only the first so many requests (default 10000)")
    add("--concurrency", type=int, default=4, help="requests on their way at once (default 4)")
    add("--timeout", type=float, default=10.0, help="seconds until a request counts as failed (default 10)")
    add("--token-file", type=Path, help="file with a bearer token for both in its first line")
    add("--max-broken-share", type=float, default=0.001, help="refuse a log with more broken lines (default 0.001)")


def run(args: argparse.Namespace) -> int:
    """Replay, print the figures, write the page; 1 where nothing could be compared."""
    try:
        if args.limit < 1 or args.concurrency < 1 or args.timeout <= 0:
            raise ReplayError("--limit, --concurrency and --timeout must be above 0")
        token = args.token_file.read_text(encoding="utf-8").split("\n", 1)[0].strip() if args.token_file else None
        log = read_log(args.log, args.limit, args.max_broken_share)
        found = asyncio.run(_replay(log, args, token))
        _check(found)
        if args.page is not None:
            args.page.write_text(page(found, args.before, args.after, log.broken), encoding="utf-8")
        if args.json is not None:
            args.json.write_text(json.dumps(found.plain(), indent=1) + "\n", encoding="utf-8")
    except (ReplayError, OSError) as error:
        print(f"lore route replay: {error}", file=sys.stderr)
        return 1
    print(_text(found))
    return 0


async def _replay(log: RequestLog, args: argparse.Namespace, token: str | None) -> Difference:
    found = Difference()
    async with side(args.before, token, args.timeout) as before, side(args.after, token, args.timeout) as after:
        replies = ask_both((before, after), log.requests, args.concurrency)
        with closing(counted(log.requests, "requests", len(log.requests))) as numbered:
            async for both in replies:
                found.add(next(numbered), both)
    return found


def _check(found: Difference) -> None:
    if not found.requests:
        said = [
            f"{name}: {problems[0]}"
            for name, problems in zip(("before", "after"), found.problems, strict=True)
            if problems
        ]
        raise ReplayError(f"no request was answered by both sides; {'; '.join(said)}")


def _text(found: Difference) -> str:
    lines = [f"{'stratum':<8}{'requests':>10}{'moved':>8}{'items':>10}{'changed':>10}{'p50 ms':>16}{'p99 ms':>18}"]
    for name, stratum in sorted(found.strata.items()):
        before, after = stratum.latencies()
        share = f"{stratum.changed / stratum.compared:.2%}" if stratum.compared else "-"
        median, high = (f"{before[at]:.1f} -> {after[at]:.1f}" for at in (0, -1))
        lines.append(
            f"{name:<8}{stratum.requests:>10,}{stratum.moved:>8,}{stratum.compared:>10,}{share:>10}{median:>16}{high:>18}"
        )
    for name, failed, problems in zip(("before", "after"), found.failed, found.problems, strict=True):
        if failed:
            lines.append(f"{name}: {failed:,} requests failed; {problems[0]}")
    return "\n".join(lines)
