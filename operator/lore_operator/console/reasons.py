"""Why an object stands as it does, as a part of its page."""

from lore_operator.cli.explanation import Explanation, Point
from lore_operator.console.markup import Element, cells, chip, table, tag
from lore_operator.console.pipeline import link


def heading(found: Explanation) -> Element:
    """The object and its state."""
    return tag("h1", f"{found.kind}/{found.name} ", chip(found.standing.state.value))


def because(namespace: str, found: Explanation) -> list[Element]:
    """Each reason with its meaning, the operator's words and what to do; then what the object looks at."""
    looked = [
        tag("tr", tag("td", link(namespace, kind, name)), *cells(chip(other.state.value), other.reason))
        for kind, name, other in found.looks_at
    ]
    parts = [tag("ul", *map(_point, found.points))]
    return [*parts, tag("h2", "It looks at"), table(["object", "state", "reason"], looked)] if looked else parts


def _point(point: Point) -> Element:
    words = [text for text in (point.meaning, point.said, point.remedy) if text]
    return tag("li", tag("b", point.reason or "No word yet"), *(tag("div", text) for text in words))
