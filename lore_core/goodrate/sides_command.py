"""`lore goodrate gsb VOTES`: good, same or bad from side-by-side votes."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lore_core import output
from lore_core.goodrate.rows import read_votes
from lore_core.goodrate.sides import compared
from lore_core.records import RecordError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore goodrate gsb`."""
    add = parser.add_argument
    add("votes", type=Path, help="JSONL: query, left, right (revisions), vote (left, same or right), rater, guideline")
    add("--candidate", required=True, metavar="REVISION", help="the revision that is good or bad")
    add("--base", required=True, metavar="REVISION", help="the revision that it is compared with")
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the shares; 1 with the reason where they cannot be estimated."""
    try:
        found = compared(read_votes(args.votes), args.candidate, args.base)
    except (RecordError, ValueError) as error:
        print(f"lore goodrate gsb: {error}", file=sys.stderr)
        return 1
    print(_table(found) if args.output == "table" else output.document(found, args.output))
    return 0


def _table(found: Mapping[str, Any]) -> str:
    lines = [
        f"{found['candidate']} beside {found['base']}: {found['votes']} votes, {found['queries']} queries, {found['raters']} raters"
    ]
    lines += [f"{name:10}{_share(found[name])}" for name in ("good", "same", "bad", "advantage")]
    alike, left = found["swappedAlike"], found["left"]
    if left is not None:
        lines.append(f"left side {_share(left)}{'  raters prefer a side' if found['leftPreferred'] else ''}")
    lines.append(
        f"alike with sides swapped: {'none seen both ways' if alike['share'] is None else alike['share']}, {alike['pairs']} pairs"
    )
    return "\n".join([*lines, f"guidelines: {', '.join(found['guidelines'])}"])


def _share(share: Mapping[str, float | None]) -> str:
    interval = "too few queries" if share["low"] is None else f"[{share['low']:.3f}, {share['high']:.3f}]"
    return f"{share['value']:.3f}  {interval}"
