"""`lore why KIND/NAME`: the conditions of one object in plain words, and what to do."""

import argparse
import sys
from collections.abc import Iterator

from lore_core.cli import EXIT_OK, EXIT_STALLED
from lore_operator.cli import kubectl, output
from lore_operator.cli.explanation import Explanation, Point, explain
from lore_operator.cli.standing import State


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("object", metavar="KIND/NAME", help="e.g. rdep/search; short names and full ones are known")
    kubectl.add_arguments(parser)
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the explanation; exit status 3 where the object is stalled."""
    try:
        kind, name = kubectl.parse_object(args.object)
        cluster = kubectl.from_arguments(args)
        found = explain(cluster.one(kind, name), cluster.chain())
    except kubectl.CannotTell as problem:
        print(f"lore why: {problem}", file=sys.stderr)
        return problem.status
    print("\n".join(_lines(found)) if args.output == "table" else output.document(found.plain(), args.output))
    return EXIT_STALLED if found.standing.state is State.STALLED else EXIT_OK


def _lines(found: Explanation) -> Iterator[str]:
    reason = f": {found.standing.reason}" if found.standing.reason else ""
    yield f"{found.kind}/{found.name} is {found.standing.state}{reason}"
    for point in found.points:
        yield from _point(point, found.standing.reason)
    if found.looks_at:
        yield "It looks at"
    for kind, name, other in found.looks_at:
        words = f"{other.state} {other.reason}".strip()
        more = f"; see: lore why {kind}/{name}" if other.state is State.STALLED else ""
        yield f"  {kind}/{name}: {words}{more}"


def _point(point: Point, told: str) -> Iterator[str]:
    if point.reason != told:
        yield f"Also {point.reason}"
    for head, text in (("That means", point.meaning), ("It says", point.said), ("What to do", point.remedy)):
        if text:
            yield f"  {head}: {output.printable(text)}"
