"""`lore status`: the chain of a namespace as a tree, with what blocks each object."""

import argparse
import sys
from collections.abc import Iterable

from lore_core.cli import EXIT_OK, EXIT_STALLED
from lore_operator.cli import kubectl, output
from lore_operator.cli.chain import Chain, Node
from lore_operator.cli.standing import State

_HEAD = ("OBJECT", "STATE", "REASON", "PROGRESS", "ALERTS", "BLOCKED BY")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    kubectl.add_arguments(parser)
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tree; exit status 3 where an object is stalled."""
    try:
        tree = Chain(kubectl.from_arguments(args).chain()).tree()
    except kubectl.CannotTell as problem:
        print(f"lore status: {problem}", file=sys.stderr)
        return problem.status
    print(_table(tree) if args.output == "table" else output.document([node.plain() for node in tree], args.output))
    nodes = [node for root in tree for _, node in root.walk()]
    return EXIT_STALLED if any(node.standing.state is State.STALLED for node in nodes) else EXIT_OK


def _table(tree: list[Node]) -> str:
    if not tree:
        return "nothing of the platform is in this namespace"
    return output.table(_HEAD, [row for root in tree for row in _rows(root)])


def _rows(node: Node, before: str = "", branch: str = "") -> Iterable[tuple[str, ...]]:
    role = f" ({node.role})" if node.role else ""
    found = node.standing
    yield (
        f"{before}{branch}{node.kind}/{node.name}{role}",
        found.state,
        found.reason,
        node.progress,
        ",".join(node.alerts),
        node.blocked,
    )
    below = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    for child in node.children:
        yield from _rows(child, below, "└─ " if child is node.children[-1] else "├─ ")
