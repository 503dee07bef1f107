"""Small SVG charts: every name that is drawn can be read."""

import re

from lore_core.chart import Axis, line_chart


def test_the_names_of_lines_have_room_and_very_long_ones_are_cut() -> None:
    up = Axis("value", 0.0, 1.0)
    long, endless = "subset=General and a shop", "x" * 200
    drawn = line_chart("over time", {long: [(1.0, 0.5)], endless: [(1.0, 0.4)]}, Axis("evaluation", 1.0, 2.0), up)

    width = float(re.search(r'width="(\d+)" role', drawn)[1])  # type: ignore[index]
    start = float(re.search(rf'x="([\d.]+)"[^>]*>{long}<', drawn)[1])  # type: ignore[index]
    assert start + 6.8 * 40 <= width
    assert "x" * 39 + "…<" in drawn
    assert "x" * 40 not in drawn


def test_thousands_are_written_out() -> None:
    assert [name for _, name in Axis("train jobs", 0.0, 5000.0).ticks()] == [
        "0",
        "1,000",
        "2,000",
        "3,000",
        "4,000",
        "5,000",
    ]
    assert [name for _, name in Axis("loss", 0.0, 0.5).ticks()] == ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]
