"""The page of a namespace: train job → model → evaluation → deployment, with what blocks each."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from lore_operator.cli.chain import Chain, Node
from lore_operator.console.markup import Element, cells, chip, table, tag

_HEADS: Final = ["object", "state", "reason", "progress", "alerts", "blocked by"]
_PAGES: Final = {"RelevanceEval": "evals", "RelevanceDeployment": "deployments"}
_DEEPEST: Final = 3


def page(namespace: str, chain: Chain) -> list[Element]:
    """The body of the page."""
    rows = [_row(namespace, depth, node) for root in chain.tree() for depth, node in root.walk()]
    heading = tag("h1", f"Pipeline of {namespace}")
    if not rows:
        return [heading, tag("p", "Nothing of the platform is in this namespace.")]
    return [heading, tag("p", *_summary(chain)), table(_HEADS, rows)]


def _summary(chain: Chain) -> Iterator[str]:
    counts = {
        "train jobs": len(chain.jobs),
        "models": len(chain.models),
        "evaluations": len(chain.evals),
        "deployments": len(chain.deployments),
    }
    yield ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _row(namespace: str, depth: int, node: Node) -> Element:
    role = f" ({node.role})" if node.role else ""
    first = tag("td", link(namespace, node.kind, node.name), role, class_=f"d{min(depth, _DEEPEST)}")
    standing = node.standing
    return tag(
        "tr",
        first,
        *cells(chip(standing.state.value), standing.reason, node.progress, ", ".join(node.alerts), node.blocked),
    )


def link(namespace: str, kind: str, name: str) -> Element:
    """An object's name, as a link where it has a page."""
    words = f"{kind}/{name}"
    if kind not in _PAGES:
        return tag("span", words)
    return tag(
        "a", words, href="/".join(("/namespaces", quote(namespace, safe=""), _PAGES[kind], quote(name, safe="")))
    )
