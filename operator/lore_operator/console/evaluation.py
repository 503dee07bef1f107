"""The page of an evaluation: gates, scores, slices, and the slices of all evaluations on the same benchmark over time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lore_core.chart import Axis, Bar, interval_chart, line_chart
from lore_operator.cli.chain import Chain
from lore_operator.cli.explanation import explain
from lore_operator.cli.kubectl import Object
from lore_operator.cli.output import printable
from lore_operator.console import reasons
from lore_operator.console.markup import Element, cells, chip, drawing, table, tag
from lore_operator.console.pipeline import link

_ALL: Final = ("all pairs", "all traffic")
_NEWEST: Final = 10
_LINES: Final = 5
_BOUND: Final = ("benchmarkDigest", "gateSetDigest", "profileDigest", "rulesDigest")
Row = Mapping[str, Any]


def page(namespace: str, item: Object, objects: Sequence[Object]) -> list[Element]:
    """The body of the page; `objects` are all of the namespace."""
    found, status = explain(item, objects), item.get("status") or {}
    return [
        reasons.heading(found),
        tag("p", *_verdict(status)),
        *reasons.because(namespace, found),
        *_gates(status.get("gates") or ()),
        *_scores([row for row in _rows(status) if row["slice"] in _ALL]),
        *_slices(status),
        *_over_time(namespace, item, Chain(objects)),
        *_digests(status),
    ]


def _verdict(status: Row) -> Iterator[str | Element]:
    yield "Verdict "
    yield chip(str(status.get("verdict") or "Waiting"))
    judged = status.get("model") or {}
    yield f" of {judged.get('name') or status.get('subject') or 'a model that is not resolved yet'} "
    yield tag("code", str(judged.get("digest", "")))


def _gates(gates: Sequence[Row]) -> list[Element]:
    if not gates:
        return []
    rows = [
        tag(
            "tr",
            *cells(str(gate["name"]), chip(str(gate["outcome"])), str(gate.get("severity", "Required"))),
            *cells(f"{gate.get('metric', '')} {gate.get('slice', '')}".strip(), str(gate.get("message", ""))),
        )
        for gate in gates
    ]
    return [tag("h2", "Gates"), table(["gate", "outcome", "severity", "metric", "why"], rows)]


def _scores(rows: Sequence[Row]) -> list[Element]:
    if not rows:
        return []
    heads = ["metric", "value", "95 % interval", "champion", "worse by", "queries", "pairs"]
    return [tag("h2", "Scores"), table(heads, [_score(row) for row in rows])]


def _score(row: Row) -> Element:
    interval = f"[{row['low']}, {row['high']}]" if row.get("low") and row.get("high") else ""
    told = (row["value"], interval, *(row.get(field, "") for field in ("champion", "regression", "queries", "samples")))
    return tag("tr", tag("td", str(row["metric"])), *(tag("td", str(value), class_="n") for value in told))


def _slices(status: Row) -> list[Element]:
    metric = _primary(status)
    bars = [_bar(row) for row in _rows(status) if row["metric"] == metric]
    if len(bars) < 2:
        return []
    note = "Filled: this model with its 95 % interval. Hollow: the champion."
    chart = interval_chart(f"{printable(metric)} by slice", bars, Axis(printable(metric), 0.0, 1.0))
    return [tag("h2", f"{metric} by slice"), drawing(chart), tag("p", note, class_="note")]


def _bar(row: Row) -> Bar:
    low, high, champion = (_number(row.get(field)) for field in ("low", "high", "champion"))
    return Bar(printable(str(row["slice"])), float(row["value"]), low, high, champion)


def _over_time(namespace: str, item: Object, chain: Chain) -> list[Element]:
    status = item.get("status") or {}
    series, metric = _series(status.get("benchmarkDigest"), chain), _primary(status)
    heading = tag("h2", f"{metric} on this benchmark over time")
    if not series:
        return []
    slices = list(
        dict.fromkeys(row["slice"] for one in series for row in _rows(one["status"]) if row["metric"] == metric)
    )
    values = {name: [_value(one["status"], metric, name) for one in series] for name in slices}
    heads = ["slice", *(str(number) for number, _ in enumerate(series, 1))]
    rows = [
        tag("tr", tag("td", name), *(tag("td", text or "–", class_="n") for text in values[name])) for name in slices
    ]
    return [
        heading,
        *_lines(values, len(series)),
        table(heads, rows),
        tag("ol", *(_entry(namespace, one) for one in series)),
    ]


def _series(benchmark: str | None, chain: Chain) -> list[Object]:
    """The newest ended evaluations on a benchmark, oldest first."""
    ended = [
        one
        for one in chain.evals.values()
        if benchmark
        and (one.get("status") or {}).get("benchmarkDigest") == benchmark
        and one["status"].get("completionTime")
    ]
    return sorted(ended, key=lambda one: (one["status"]["completionTime"], one["metadata"]["name"]))[-_NEWEST:]


def _lines(values: Mapping[str, Sequence[str]], count: int) -> list[Element]:
    if count < 2:
        return []
    lines = {
        printable(name): [(float(number), float(text)) for number, text in enumerate(found, 1) if text]
        for name, found in list(values.items())[:_LINES]
    }
    marks = {float(number): str(number) for number in range(1, count + 1)}
    return [drawing(line_chart("over time", lines, Axis("evaluation", 1.0, count, marks), Axis("value", 0.0, 1.0)))]


def _entry(namespace: str, one: Object) -> Element:
    name, status = one["metadata"]["name"], one["status"]
    model = str((status.get("model") or {}).get("name", ""))
    verdict = chip(str(status.get("verdict", "")))
    return tag("li", f"{status['completionTime']} ", link(namespace, one["kind"], name), f" {model} ", verdict)


def _value(status: Row, metric: str, where: str) -> str:
    found = (str(row["value"]) for row in _rows(status) if (row["metric"], row["slice"]) == (metric, where))
    return next(found, "")


def _rows(status: Row) -> list[Row]:
    """Scores that can be shown. They come from a pod's report, so they may be anything."""
    found = [row for row in status.get("scores") or () if isinstance(row, Mapping)]
    return [row for row in found if {"metric", "slice"} <= row.keys() and _number(row.get("value")) is not None]


def _number(text: Any) -> float | None:
    try:
        found = float(text)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _primary(status: Row) -> str:
    return str((status.get("primary") or {}).get("name", ""))


def _digests(status: Row) -> list[Element]:
    told = {name: status[name] for name in _BOUND if status.get(name)} | {
        f"evidence {field}": text for field, text in (status.get("evidence") or {}).items()
    }
    if not told:
        return []
    rows = [tag("tr", *cells(name), tag("td", tag("code", str(value)))) for name, value in told.items()]
    return [tag("h2", "Bound to"), table(["what", "digest"], rows)]
