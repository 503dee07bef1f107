"""`lore goodrate estimate SAMPLE`: Query and Item GoodRate from the ratings of a sample."""

import argparse
import sys
from pathlib import Path

from lore_core import output
from lore_core.goodrate.report import report, table
from lore_core.goodrate.rows import read_drawn, read_ratings
from lore_core.goodrate.values import check
from lore_core.records import RecordError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore goodrate estimate`."""
    add = parser.add_argument
    add("sample", type=Path, help="what `lore goodrate sample` wrote")
    add("--people", type=Path, required=True, help="ratings by people, JSONL: request, item, rater, label, guideline")
    add("--judge", type=Path, help="what `lore goodrate judge` wrote; people correct it")
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the rates; 1 with the reason where they cannot be estimated."""
    try:
        drawn = read_drawn(args.sample)
        people = check(drawn, read_ratings(args.people), people=True)
        judged = check(drawn, read_ratings(args.judge), people=False) if args.judge else None
        found = report(drawn, people, judged)
    except (RecordError, ValueError) as error:
        print(f"lore goodrate estimate: {error}", file=sys.stderr)
        return 1
    print(table(found) if args.output == "table" else output.document(found, args.output))
    return 0
