"""One self-contained page from which a person chooses boundaries: the frequency curve, and what each choice would cost.

It shows no query that is not head: rare queries can name a person.
"""

from collections.abc import Iterable, Sequence
from html import escape
from math import log10

from lore_core.chart import Axis, line_chart
from lore_core.strata.build import Built, Recipe
from lore_core.strata.curve import Choice, Cost, Curve, Point


def report_html(built: Built, recipe: Recipe, cost: Cost | None) -> str:
    """The page."""
    curve = Curve(built.frequencies)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Strata report</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}}
table{{border-collapse:collapse;margin:1rem 0}}td,th{{padding:.2rem .7rem;border-bottom:1px solid #d0d7de;text-align:right}}
th:first-child,td:first-child{{text-align:left}}svg{{max-width:100%;height:auto}}</style>
<h1>Strata of a query log</h1>
<h2>This snapshot</h2>{_snapshot(built, recipe)}
<h2>How traffic is spread</h2>{_curve(list(curve.points()))}
<h2>Other boundaries</h2>{_choices(list(curve.choices()), cost)}
<h2>Most frequent queries</h2><ol>{"".join(f"<li>{escape(key)}</li>" for key in built.examples)}</ol>
</html>
"""


def _snapshot(built: Built, recipe: Recipe) -> str:
    requests = sum(count.requests for count in built.counts.values()) or 1
    rows = [
        (name, f"{count.queries:,}", f"{count.requests:,}", f"{count.requests / requests:.1%}")
        for name, count in built.counts.items()
    ]
    facts = built.log | built.moved
    boundaries = recipe.boundaries
    said = f"Boundaries by {boundaries.rule.value}: head {boundaries.head}, torso {boundaries.torso}."
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in built.counted.problems)
    return (
        f"<p>{said}</p>{_table(('stratum', 'queries', 'requests', 'share'), rows)}"
        f"{_table(('log', 'rows'), [(name, str(value)) for name, value in facts.items() if value is not None])}"
        + (f"<p>Broken rows, the first of them:</p><ul>{problems}</ul>" if problems else "")
    )


def _choices(choices: list[Choice], cost: Cost | None) -> str:
    names = ["head queries", "torso queries", "tail queries", "head", "torso", "tail"]
    names += ["compute s / 1,000 requests", "compute s / head build"] if cost else []
    rows = []
    for choice in choices:
        cells = [*(f"{n:,}" for n in choice.queries), *(f"{s:.1%}" for s in choice.shares)]
        cells += [f"{choice.seconds(cost):,.2f}", f"{choice.head_seconds(cost):,.0f}"] if cost else []
        rows.append(cells)
    said = (
        f"Compute seconds a request: head {cost.head}, torso {cost.torso}, tail {cost.tail}, as given on the command line."
        if cost
        else "Without --cost no cost is shown: measure the seconds of one request in each tier first."
    )
    return f"<p>{said}</p>{_table(names, rows)}"


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _curve(points: Sequence[Point]) -> str:
    """Share of traffic over rank, rank on a logarithmic axis."""
    if not points:
        return "<p>No traffic.</p>"
    decades = range(len(str(points[-1].rank)) + 1)
    ranks = Axis("most frequent queries", 0.0, decades[-1], {decade: f"{10**decade:,}" for decade in decades})
    shares = Axis("share of traffic", 0.0, 1.0, {quarter / 4: f"{25 * quarter} %" for quarter in range(5)})
    line = [(log10(point.rank), point.share) for point in points]
    return line_chart("Share of traffic by rank", {"cumulative share": line}, ranks, shares)
