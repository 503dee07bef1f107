"""A rated sample: GoodRate over any slice of its days and strata, and what a judge alone would have said."""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from statistics import fmean
from typing import Final

from lore_core.goodrate.estimate import Part, Rate, combined, parts
from lore_core.goodrate.rows import Drawn, Rating
from lore_core.goodrate.sampling import Cell, cell_of
from lore_core.goodrate.values import Values, judge_values, people_values
from lore_core.jobs.evaluation import GOODRATE_METRICS

Where = Mapping[str, str]
"""A slice: a day, a stratum, both, or nothing for all traffic."""
ALL: Final = "all traffic"
_VALUES: Final = dict(zip(GOODRATE_METRICS, (attrgetter("items"), attrgetter("page")), strict=True))


class Traffic:
    """Ratings of a sample, checked (values.check). Without people's there is no estimate: a judge alone is only heard."""

    def __init__(self, drawn: Sequence[Drawn], people: Sequence[Rating] | None, judge: Sequence[Rating] | None) -> None:
        """Raises ValueError where something that was drawn for people is not rated."""
        seen = people_values(drawn, people) if people is not None else Values({}, {})
        guessed = judge_values(drawn, judge) if judge is not None else None
        rated = drawn if people is not None else [row.model_copy(update={"people": False}) for row in drawn]
        self._rated = [row for row in rated if row.people]
        self._parts = {
            metric: parts(rated, values(seen), values(guessed) if guessed else None)
            for metric, values in _VALUES.items()
        }
        self._heard = {metric: _means(drawn, values(guessed)) for metric, values in _VALUES.items()} if guessed else {}

    def rate(self, metric: str, where: Where, confidence: float = 0.95) -> Rate | None:
        """The estimate with a two-sided interval; None where the slice has no traffic."""
        found = _within(self._parts[metric], where)
        return combined(found, confidence) if found else None

    def heard(self, metric: str, where: Where) -> float | None:
        """The judge's mean, uncorrected and so without an interval; None without a judge or traffic."""
        found = _within(self._heard.get(metric, {}), where)
        return combined(found).value if found else None

    def rated(self, where: Where) -> tuple[int, int]:
        """How many requests people rated, and how many items these showed."""
        found = [row for row in self._rated if _matches(cell_of(row), where)]
        return len(found), sum(len(row.items) for row in found)

    def slices(self) -> Iterator[dict[str, str]]:
        """All traffic, each day, each stratum, each day and stratum."""
        cells = sorted(self._parts[GOODRATE_METRICS[0]])
        yield {}
        yield from ({"day": day} for day in sorted({day for day, _ in cells}))
        yield from ({"stratum": stratum} for stratum in sorted({stratum for _, stratum in cells}))
        yield from ({"day": day, "stratum": stratum} for day, stratum in cells)


def slice_name(where: Where) -> str:
    """The slice in words."""
    return ", ".join(f"{name}={value}" for name, value in sorted(where.items())) or ALL


def _within(cells: Mapping[Cell, Part], where: Where) -> list[Part]:
    return [part for cell, part in sorted(cells.items()) if _matches(cell, where)]


def _matches(cell: Cell, where: Where) -> bool:
    found = dict(zip(("day", "stratum"), cell, strict=True))
    return all(found[name] == value for name, value in where.items())


def _means(drawn: Sequence[Drawn], values: Mapping[str, float]) -> dict[Cell, Part]:
    cells: dict[Cell, list[Drawn]] = {}
    for row in drawn:
        cells.setdefault(cell_of(row), []).append(row)
    return {
        cell: Part(rows[0].population, 0, fmean(values[row.request] for row in rows), None)
        for cell, rows in cells.items()
    }
