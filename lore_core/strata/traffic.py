"""How often each query key is asked, trending queries lifted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from lore_core.strata.boundaries import Frequencies
from lore_core.strata.log import LogError
from lore_core.strata.rows import Counted, Days, RowRules, sum_rows

_BATCH: Final = 10_000
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
    """Query keys of a log with their requests, in a DuckDB database on disk."""

    def __init__(self, connection: Any, counted: Counted, keyless: int, trending: int) -> None:
        self._connection, self.counted, self.keyless, self.trending = connection, counted, keyless, trending

    def summary(self) -> dict[str, Any]:
        """What became of the log's rows; `keyless` ones hold only characters that the normaliser drops."""
        return self.counted.summary() | {"keyless": self.keyless, "trending": self.trending}

    def frequencies(self) -> Frequencies:
        """How many queries there are of each frequency."""
        found = self._connection.execute(
            "SELECT weighted::BIGINT, count(*) FROM keys GROUP BY weighted ORDER BY weighted DESC"
        ).fetchall()
        return Frequencies([weight for weight, _ in found], [queries for _, queries in found])

    def most_frequent(self, number: int) -> Iterator[tuple[str, int]]:
        """The most frequent query keys with their requests, ties by key."""
        rows = self._connection.execute(
            "SELECT key, requests::BIGINT FROM keys ORDER BY weighted DESC, key LIMIT ?", [number]
        )
        while batch := rows.fetchmany(_BATCH):
            yield from batch

    def requests_of(self, keys: Iterable[str]) -> dict[str, int]:
        """Requests of some keys; those the log does not have are left out."""
        rows = self._connection.execute(
            "SELECT key, requests::BIGINT FROM keys WHERE key IN (SELECT unnest(?))", [[*keys]]
        )
        return dict(rows.fetchall())

    def totals(self) -> tuple[int, int]:
        """Query keys and requests."""
        queries, requests = self._connection.execute(
            "SELECT count(*), coalesce(sum(requests), 0)::BIGINT FROM keys"
        ).fetchall()[0]
        return queries, requests


def count_traffic(connection: Any, files: list[Path], columns: dict[str, str], rules: TrafficRules) -> Traffic:
    """Requests per query key. Raises LogError."""
    trend, which = rules.trend, rules.rows
    dated = replace(which, dated=which.dated or trend is not None)
    days, counted = sum_rows(connection, files, dated.shape(("query",), (), columns), dated, trend.days if trend else 0)
    connection.execute(_KEYS)
    keyless = connection.execute("SELECT coalesce(sum(rows), 0)::BIGINT FROM keys WHERE key = ''").fetchall()[0][0]
    connection.execute("DELETE FROM keys WHERE key = ''")
    trending = _lift(connection, trend, days)
    if connection.execute("SELECT coalesce(sum(weighted), 0) FROM keys").fetchall()[0][0] > _MOST:
        raise LogError(
            f"{files[0]}: {counted.rows} rows count more requests than 2^52; the field count cannot be right"
        )
    return Traffic(connection, counted, keyless, trending)


_KEYS: Final = """
    CREATE OR REPLACE TABLE keys AS
    SELECT query_key(query) AS key, sum(weighted) AS weighted, sum(requests) AS requests, sum(recent) AS recent, sum(rows) AS rows
    FROM grouped WHERE query IS NOT NULL
    GROUP BY 1
"""


def _lift(connection: Any, trend: Trend | None, days: Days) -> int:
    """Give trending keys the weight of their recent rate over all days; returns their number."""
    if trend is None or len(days.weights) <= trend.days:
        return 0
    factor = Fraction(str(trend.factor))
    limits = [trend.least, (len(days.weights) - trend.days) * factor.denominator, factor.numerator * trend.days]
    lifted = connection.execute(
        """
        UPDATE keys SET weighted = greatest(weighted, recent * $4 // $5)
        WHERE recent >= $1 AND recent * $2 >= (requests - recent) * $3
        """,
        [*limits, days.weight, trend.days],
    )
    return int(lifted.fetchall()[0][0])
