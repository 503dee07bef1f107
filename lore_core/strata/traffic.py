"""How often each query key is asked, trending queries lifted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from lore_core.strata.boundaries import Frequencies
from lore_core.strata.engine import Engine
from lore_core.strata.log import LogError
from lore_core.strata.rows import Counted, Days, RowRules, sum_rows

_MOST: Final = 1 << 62


@dataclass(frozen=True)
class Trend:
    """A query is trending where its requests per day of the last `days` are `factor` times those of the days before.

    It then counts as if it had been asked that often in the whole window. Below `least` requests nothing is trending.
    """

    factor: float = 3.0
    days: int = 1
    least: int = 50

    def __post_init__(self) -> None:
        """A trend rises."""
        if self.factor <= 1 or self.days < 1 or self.least < 1:
            raise ValueError(f"a trend has a factor above 1, at least one day and one request: {self}")


@dataclass(frozen=True)
class TrafficRules:
    """Which rows count, and what lifts a query."""

    rows: RowRules = field(default_factory=RowRules)
    trend: Trend | None = None


class Traffic:
    """Query keys of a log with their requests, in the tables of an engine."""

    def __init__(self, engine: Engine, counted: Counted, keyless: int, trending: int) -> None:
        self._engine, self.counted, self.keyless, self.trending = engine, counted, keyless, trending

    def summary(self) -> dict[str, Any]:
        """What became of the log's rows; `keyless` ones hold only characters that the normaliser drops."""
        return self.counted.summary() | {"keyless": self.keyless, "trending": self.trending}

    def frequencies(self) -> Frequencies:
        """How many queries there are of each frequency."""
        query = "SELECT weighted, count(*) FROM keys GROUP BY weighted ORDER BY weighted DESC"
        found = [(int(weight), int(queries)) for weight, queries in self._engine.rows(query)]
        return Frequencies([weight for weight, _ in found], [queries for _, queries in found])

    def most_frequent(self, number: int) -> Iterator[tuple[str, int]]:
        """The most frequent query keys with their requests, ties by key."""
        query = f"SELECT key, requests FROM keys ORDER BY weighted DESC, key LIMIT {number}"
        return ((key, int(requests)) for key, requests in self._engine.rows(query))

    def requests_of(self, keys: Iterable[str]) -> dict[str, int]:
        """Requests of some keys; those the log does not have are left out."""
        self._engine.values("wanted", ("key STRING",), ([key] for key in keys))
        found = self._engine.rows("SELECT key, requests FROM keys WHERE key IN (SELECT key FROM wanted)")
        return {key: int(requests) for key, requests in found}

    def totals(self) -> tuple[int, int]:
        """Query keys and requests."""
        queries, requests = next(self._engine.rows("SELECT count(*), coalesce(sum(requests), 0) FROM keys"))
        return int(queries), int(requests)


def count_traffic(engine: Engine, files: list[Path], columns: dict[str, str], rules: TrafficRules) -> Traffic:
    """Requests per query key. Raises LogError."""
    trend, which = rules.trend, rules.rows
    dated = replace(which, dated=which.dated or trend is not None)
    days, counted = sum_rows(engine, files, dated.shape(("query",), (), columns), dated, trend.days if trend else 0)
    lifts = trend is not None and len(days.weights) > trend.days
    engine.define("counted", _COUNTED)
    engine.define("keys", _lifted(trend, days, engine.divided) if trend and lifts else _UNLIFTED)
    keyless = next(engine.rows("SELECT coalesce(sum(rows), 0) FROM counted WHERE key = ''"))[0]
    trending, greatest = next(engine.rows("SELECT coalesce(sum(lifted), 0), coalesce(sum(weighted), 0) FROM keys"))
    if greatest > _MOST:
        raise LogError(
            f"{files[0]}: {counted.rows} rows count more requests than 2^52; the field count cannot be right"
        )
    return Traffic(engine, counted, int(keyless), int(trending))


_COUNTED: Final = """
    SELECT key, sum(weighted) AS weighted, sum(requests) AS requests, sum(recent) AS recent, sum(rows) AS rows
    FROM (SELECT query_key(query) AS key, weighted, requests, recent, rows FROM grouped WHERE kind = 0) AS keyed
    GROUP BY key
"""
_UNLIFTED: Final = "SELECT key, weighted, requests, 0 AS lifted FROM counted WHERE key <> ''"


def _lifted(trend: Trend, days: Days, divided: str) -> str:
    """SQL that gives trending keys the weight of their recent rate over all days."""
    factor, before = Fraction(str(trend.factor)), len(days.weights) - trend.days
    rises = f"recent * {before * factor.denominator} >= (requests - recent) * {factor.numerator * trend.days}"
    lift = f"greatest(weighted, recent * {days.weight} {divided} {trend.days})"
    return f"""
        SELECT key, CASE WHEN trends THEN {lift} ELSE weighted END AS weighted, requests,
            CASE WHEN trends THEN 1 ELSE 0 END AS lifted
        FROM (SELECT *, recent >= {trend.least} AND {rises} AS trends FROM counted WHERE key <> '') AS judged
    """
