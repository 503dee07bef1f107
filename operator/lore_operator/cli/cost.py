"""`lore cost`: pods, GPUs, hours and tokens of a namespace's training, evaluation and serving."""

import argparse
import sys
from typing import Final

from lore_core.cli import EXIT_OK
from lore_operator.children.labels import WATCH_SELECTOR
from lore_operator.cli import kubectl, output
from lore_operator.cli.spending import Spent, spending, total

_HEAD: Final = ("OBJECT", "PART", "ATTEMPTS", "PODS", "GPUS", "POD HOURS", "GPU HOURS", "TOKENS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("object", nargs="?", default="", metavar="KIND/NAME", help="one object (default: all)")
    kubectl.add_arguments(parser)
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was spent, and the sum."""
    try:
        only = kubectl.parse_object(args.object) if args.object else None
        cluster = kubectl.from_arguments(args)
        objects = [cluster.one(*only)] if only else cluster.chain()
        found = spending(cluster.labelled("configmaps", WATCH_SELECTOR), objects)
    except kubectl.CannotTell as problem:
        print(f"lore cost: {problem}", file=sys.stderr)
        return problem.status
    shown = [one for one in found if only in (None, (one.kind, one.name))]
    if args.output == "table":
        print(_table(shown))
    else:
        print(output.document({"items": [one.plain() for one in shown], "total": total(shown)}, args.output))
    return EXIT_OK


def _table(found: list[Spent]) -> str:
    if not found:
        return "nothing has run here yet"
    sums = total(found)
    last = ("total", "", "", "", "", sums["podHours"], sums["gpuHours"], str(sums["tokens"]))
    return output.table(_HEAD, [*(_row(one) for one in found), last])


def _row(one: Spent) -> tuple[str, ...]:
    hours = ("now" if value is None else f"{value:.3f}" for value in (one.pod_hours, one.gpu_hours))
    attempts, counts = str(one.attempts or ""), (str(one.pods), str(one.gpus))
    return (f"{one.kind}/{one.name}", one.part, attempts, *counts, *hours, str(one.tokens or ""))
