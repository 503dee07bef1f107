"""`lore goodrate sample LOG`: which served requests are to be rated, with known probabilities."""

import argparse
import sys
from pathlib import Path

from lore_core.goodrate.rows import read_served
from lore_core.goodrate.sampling import draw
from lore_core.records import RecordError
from lore_core.records.jsonl import write_jsonl


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore goodrate sample`."""
    add = parser.add_argument
    add(
        "log",
        type=Path,
        help="JSONL of served requests: request, date, stratum, query, market, items as they were shown",
    )
    add("--out", type=Path, required=True, help="write the sample here, JSONL")
    add("--size", type=int, default=200, help="requests of each day and stratum (default 200)")
    add("--people", type=int, help="of these, how many people rate; the judge rates all (default: all)")
    add("--seed", type=int, default=17, help="another seed draws another sample (default 17)")


def run(args: argparse.Namespace) -> int:
    """Write the sample; 1 with the reason where the log cannot be used."""
    people = args.size if args.people is None else args.people
    if not 0 <= people <= args.size or args.size < 1:
        print("lore goodrate sample: --size must be above 0, --people from 0 to --size", file=sys.stderr)
        return 2
    try:
        drawn = draw(read_served(args.log), args.size, people, args.seed)
    except (RecordError, ValueError) as error:
        print(f"lore goodrate sample: {error}", file=sys.stderr)
        return 1
    write_jsonl(args.out, (row.model_dump(mode="json") for row in drawn))
    print(f"{args.out}: {len(drawn)} requests, {sum(row.people for row in drawn)} of them for people")
    return 0
