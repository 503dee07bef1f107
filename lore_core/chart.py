"""Small SVG charts: lines, and values with intervals. Text is escaped, nothing is fetched, equal input gives equal bytes.

Text and axes take the colour of the text around them, so that a chart can be read on a dark page too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

Point = tuple[float, float]

_COLOURS: Final = ("#3a7fc8", "#c2571a", "#2c7a4b", "#8a3f8f", "#6b6b6b")
_HEIGHT, _LEFT, _TOP, _BOTTOM = 320, 60, 16, 46
_LINES_PLOT: Final = 430
_LEGEND: Final = 40
"""Most letters of a line's name."""
_ROW: Final = 22
_PLOT: Final = 380
_LETTER: Final = 6.8
"""Pixels of a letter of this size, so that names find room."""
_LONGEST: Final = 80
_MOST_DOTS: Final = 20
_TICKS: Final = 5


@dataclass(frozen=True)
class Axis:
    """Name and range of an axis; `marks` are the values with a name on it, evenly spaced ones where none are given."""

    name: str
    low: float
    high: float
    marks: Mapping[float, str] = field(default_factory=dict)

    def ticks(self) -> list[tuple[float, str]]:
        """Values with what is written at them."""
        even = (self.low + (self.high - self.low) * step / _TICKS for step in range(_TICKS + 1))
        return list(self.marks.items()) or [(value, _tick(value)) for value in even]

    def place(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two pixels; what is outside the range stands at its edge."""
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1.0)
        return start + share * (end - start)


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def line_chart(
    title: str,
    lines: Mapping[str, Sequence[Point]],
    across: Axis,
    up: Axis,
    guides: Mapping[str, Sequence[Point]] | None = None,
) -> str:
    """Lines by name over two axes; `guides` are drawn dashed and grey."""
    right, bottom = _LEFT + _LINES_PLOT, _HEIGHT - _BOTTOM
    parts = [_frame(across, up, right, bottom)]
    drawn = {**lines, **(guides or {})}
    for number, (name, points) in enumerate(drawn.items()):
        guide = number >= len(lines)
        colour = "#9a9a9a" if guide else _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{across.place(x, _LEFT, right):.1f},{up.place(y, bottom, _TOP):.1f}" for x, y in points)
        stroke = f'stroke="{colour}" stroke-width="2"' + (' stroke-dasharray="5 4"' if guide else "")
        parts.append(f'<polyline points="{path}" fill="none" {stroke}/>')
        if not guide and len(points) <= _MOST_DOTS:  # a single point has no line
            dots = (
                f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>'
                for x, y in (at.split(",") for at in path.split())
            )
            parts.extend(dots)
        height = _TOP + 14 + 18 * number
        parts.append(f'<line x1="{right + 10}" x2="{right + 28}" y1="{height - 4}" y2="{height - 4}" {stroke}/>')
        parts.append(_text(right + 33, height, _short(name, _LEGEND)))
    room = 40 + _LETTER * max((len(_short(name, _LEGEND)) for name in drawn), default=0)
    return _svg(title, round(right + max(150, room)), _HEIGHT, parts)


def _frame(across: Axis, up: Axis, right: float, bottom: float) -> str:
    parts = [f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="currentColor"/>']
    for value, name in across.ticks():
        place = across.place(value, _LEFT, right)
        parts.append(_text(place, bottom + 16, name, "middle"))
    for value, name in up.ticks():
        place = up.place(value, bottom, _TOP)
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{place:.1f}" y2="{place:.1f}" stroke="currentColor" stroke-opacity="0.15"/>'
        )
        parts.append(_text(_LEFT - 6, place + 4, name, "end"))
    parts.append(_text((_LEFT + right) / 2, bottom + 36, across.name, "middle"))
    parts.append(f'<g transform="translate(14 {(_TOP + bottom) / 2}) rotate(-90)">{_text(0, 0, up.name, "middle")}</g>')
    return "".join(parts)


def as_file(chart: str) -> str:
    """A chart as a file of its own: black on white, with its namespace, which it need not name inside HTML."""
    named = chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" color="#1c1c1c" ', 1)
    return named.replace("</title>", '</title><rect width="100%" height="100%" fill="#fff"/>', 1)


@dataclass(frozen=True)
class Bar:
    """A value with its interval, and another to compare with, such as the champion's."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    other: float | None = None


def interval_chart(title: str, bars: Sequence[Bar], across: Axis) -> str:
    """A row a bar: a dot with its interval, and a hollow mark at `other`."""
    left = 16 + _LETTER * max((len(_short(bar.name)) for bar in bars), default=0)
    right, bottom = left + _PLOT, _TOP + _ROW * len(bars)
    parts = []
    for value, name in across.ticks():
        place = across.place(value, left, right)
        parts.append(
            f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{bottom}" stroke="currentColor" stroke-opacity="0.15"/>'
        )
        parts.append(_text(place, bottom + 16, name, "middle"))
    for number, bar in enumerate(bars):
        parts.append(_bar(bar, across, _TOP + _ROW * number + _ROW / 2, left, right))
    parts.append(_text((left + right) / 2, bottom + 36, across.name, "middle"))
    return _svg(title, round(right + 30), bottom + 46, parts)


def _bar(bar: Bar, across: Axis, height: float, left: float, right: float) -> str:
    place = across.place(bar.value, left, right)
    parts = [_text(left - 8, height + 4, _short(bar.name), "end")]
    if bar.low is not None and bar.high is not None:
        low, high = (across.place(end, left, right) for end in (bar.low, bar.high))
        parts.append(
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{height}" y2="{height}" stroke="{_COLOURS[0]}" stroke-width="3"/>'
        )
    if bar.other is not None:
        other = across.place(bar.other, left, right)
        parts.append(
            f'<circle cx="{other:.1f}" cy="{height}" r="5" fill="none" stroke="{_COLOURS[1]}" stroke-width="2"/>'
        )
    parts.append(f'<circle cx="{place:.1f}" cy="{height}" r="4" fill="{_COLOURS[0]}"/>')
    return "".join(parts)


def _short(name: str, most: int = _LONGEST) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(words)}</text>'


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )
