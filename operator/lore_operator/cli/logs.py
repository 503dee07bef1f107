"""`lore logs KIND/NAME`: what the pods of an object say; without pods, what the operator kept of their end."""

import argparse
import sys
from typing import Any, Final

from lore_core.cli import EXIT_OK, EXIT_USAGE
from lore_operator.children.labels import WATCH_SELECTOR
from lore_operator.cli import kubectl, output
from lore_operator.cli.pods import Wanted, pods_of

_TAIL: Final = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("object", metavar="KIND/NAME", help="rtj, reval or rdep and its name")
    parser.add_argument("--stage", default="", help="stage of a train job (default: the newest pods)")
    parser.add_argument("--tier", default="", help="tier of a deployment: its predictor's pods (default: the router's)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the pods end")
    parser.add_argument("--tail", type=int, default=_TAIL, help=f"last lines of each container (default: {_TAIL})")
    kubectl.add_arguments(parser)
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the lines; exit status 1 where no pod is left."""
    if args.follow and args.output != "table":
        print("lore logs: --follow has no end to print a document at; leave out --output", file=sys.stderr)
        return EXIT_USAGE
    try:
        kind, name = kubectl.parse_object(args.object)
        cluster = kubectl.from_arguments(args)
        resource = cluster.one(kind, name)
        found = pods_of(resource, cluster.labelled("pods", WATCH_SELECTOR), Wanted(args.stage, args.tier))
        if not found:
            raise kubectl.CannotTell(_kept(resource))
        return _follow(cluster, found) if args.follow else _print(cluster, found, args)
    except kubectl.CannotTell as problem:
        print(f"lore logs: {problem}", file=sys.stderr)
        return problem.status


def _print(cluster: kubectl.Kubectl, pods: list[str], args: argparse.Namespace) -> int:
    lines = [{"pod": pod, "text": line} for pod in pods for line in cluster.logs(pod, args.tail).splitlines()]
    if args.output == "table":
        for line in lines:
            print(output.printable(line["text"]))
    else:
        print(output.document(lines, args.output))
    return EXIT_OK


def _follow(cluster: kubectl.Kubectl, pods: list[str]) -> int:
    print(f"following {pods[0]}" + (f"; {len(pods) - 1} more have the same work" if pods[1:] else ""), file=sys.stderr)
    for line in cluster.followed(pods[0]):
        print(output.printable(line.rstrip("\n")), flush=True)
    return EXIT_OK


def _kept(resource: dict[str, Any]) -> str:
    failure = (resource.get("status") or {}).get("failure") or {}
    if failure.get("message"):
        return (
            f"no pod of it is left; the operator kept of the last failure:\n{failure['reason']}: {failure['message']}"
        )
    return f"no pod of it exists; see: lore why {resource['kind']}/{resource['metadata']['name']}"
