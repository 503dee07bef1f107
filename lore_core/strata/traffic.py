"""How often each query key is asked: a sliding window with decay, bots left out, trending queries lifted.

All sums are of whole numbers, so neither the number of threads nor the order of rows changes a byte of the outcome.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from lore_core.strata.boundaries import WEIGHT_UNIT, Frequencies
from lore_core.strata.log import LogError, LogShape, define_rows, forget_rejects, structural_rejects
from lore_core.strata.log_problems import named_problems
from lore_core.strata.normaliser import query_key

_BUSY: Final = 100
_BATCH: Final = 10_000
_ALWAYS: Final = 36_500


@dataclass(frozen=True)
class Window:
    """The last `days` days up to `until`; a request of `half_life` days ago weighs half.

    Without `until` it is the last day with at least a hundredth of the busiest day's requests: a wrong clock on one
    machine must not move the window.
    """

    days: int = 28
    half_life: float | None = None
    until: date | None = None

    def __post_init__(self) -> None:
        """At least one day."""
        if self.days < 1 or (self.half_life is not None and self.half_life <= 0):
            raise ValueError(f"a window has at least one day and a half-life above 0: {self}")

    def weight(self, age: int) -> int:
        """Weight of a request `age` days before the last day, in units of `WEIGHT_UNIT`; at least 1."""
        if self.half_life is None:
            return WEIGHT_UNIT
        share: float = 0.5 ** (age / self.half_life)
        return max(1, round(WEIGHT_UNIT * share))


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
    """What counts. `bot_limit`: a user with more requests on one day counts not at all on that day."""

    window: Window | None = None
    trend: Trend | None = None
    bot_limit: int | None = None
    max_broken: float = 0.001

    def shape(self, columns: dict[str, str]) -> LogShape:
        """What a log must have for these rules."""
        dated = self.window is not None or self.trend is not None or self.bot_limit is not None
        return LogShape(columns=columns, dated=dated, with_users=self.bot_limit is not None)


@dataclass(frozen=True)
class Counted:
    """What became of the rows of a log; `first` and `last` are the days that count, as far as the log is dated."""

    rows: int
    broken: int
    bots: int
    outside: int
    keyless: int
    trending: int
    first: str | None
    last: str | None
    problems: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """As it stands in `strata.json`; broken rows are named elsewhere, since their text is not ours to publish."""
        return {name: value for name, value in asdict(self).items() if name != "problems"}


class Traffic:
    """Query keys of a log with their requests, in a DuckDB database on disk."""

    def __init__(self, connection: Any, counted: Counted) -> None:
        self._connection, self.counted = connection, counted

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
        ).fetchone()
        return queries, requests


def connect(work: Path, memory: str) -> Any:
    """A DuckDB database below `work` that spills there beyond `memory`, and loads nothing from anywhere."""
    import duckdb

    work.mkdir(parents=True, exist_ok=True)
    settings = {
        "memory_limit": memory,
        "temp_directory": str(work / "spill"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    connection = duckdb.connect(str(work / "work.duckdb"), config=settings)
    connection.create_function("query_key", _query_keys, ["VARCHAR"], "VARCHAR", type="arrow")
    return connection


def _query_keys(queries: Any) -> Any:
    """The router's normaliser over a column."""
    import pyarrow

    return pyarrow.array([query_key(query) for query in queries.to_pylist()], pyarrow.string())


def count_traffic(connection: Any, files: list[Path], columns: dict[str, str], rules: TrafficRules) -> Traffic:
    """Read a log once (again for each of days and bots that must be known first). Raises LogError."""
    import duckdb

    shape = rules.shape(columns)
    try:
        define_rows(connection, files, shape)
        days = _define_days(connection, rules) if shape.dated else _every_day(connection)
        _define_bots(connection, rules.bot_limit)
        forget_rejects(connection)
        connection.execute(_QUERIES, [rules.trend.days if rules.trend else 0])
        broken_csv = structural_rejects(connection)
        connection.execute(_KEYS)
        counted = _counted(connection, days, broken_csv, _lift(connection, rules.trend, days))
    except duckdb.OutOfMemoryException as error:
        raise LogError(
            f"{files[0]}: DuckDB ran out of memory or of disk to spill to; raise --memory ({_first_line(error)})"
        ) from error
    except duckdb.Error as error:
        problems = named_problems(files, shape)
        raise LogError(problems[0] if problems else f"{files[0]}: {_first_line(error)}") from error
    return Traffic(connection, sound(counted, files, shape, rules.max_broken))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _every_day(connection: Any) -> dict[date, int]:
    """Rows without a day all weigh the same."""
    connection.execute("CREATE OR REPLACE TABLE days AS SELECT NULL::DATE AS day, ?::BIGINT AS weight", [WEIGHT_UNIT])
    return {}


def _define_days(connection: Any, rules: TrafficRules) -> dict[date, int]:
    """The days that count, with the weight of a request."""
    counts = dict(connection.execute("SELECT day, sum(n) FROM log_rows WHERE ok GROUP BY day").fetchall())
    window = rules.window or Window(days=_ALWAYS)
    until = window.until or _last_busy_day(counts)
    first = min((day for day in counts if day <= until), default=until)
    ages = range(min(window.days, (until - first).days + 1))
    weights = {until - timedelta(days=age): window.weight(age) for age in ages}
    columns = [[*weights], [*weights.values()]]
    connection.execute("CREATE OR REPLACE TABLE days AS SELECT unnest(?) AS day, unnest(?)::BIGINT AS weight", columns)
    return weights


def _last_busy_day(counts: dict[date, int]) -> date:
    most = max(counts.values(), default=0)
    return max((day for day, count in counts.items() if count * _BUSY >= most), default=date(1970, 1, 1))


def _define_bots(connection: Any, limit: int | None) -> None:
    connection.execute("CREATE OR REPLACE TABLE bots (who VARCHAR, day DATE)")
    if limit is not None:
        connection.execute(
            "INSERT INTO bots SELECT who, day FROM log_rows WHERE ok GROUP BY who, day HAVING sum(n) > ?", [limit]
        )


# Where days do not matter both sides have no day: IS NOT DISTINCT FROM joins them.
_QUERIES: Final = """
    CREATE OR REPLACE TABLE queries AS
    SELECT
        CASE WHEN ok AND bots.who IS NULL AND weight IS NOT NULL THEN query END AS query,
        sum(n * weight) AS weighted,
        sum(n) AS requests,
        coalesce(sum(n) FILTER (log_rows.day > (SELECT max(day) FROM days) - $1::INTEGER), 0) AS recent,
        count(*) AS rows,
        count(*) FILTER (NOT ok) AS broken,
        count(*) FILTER (ok AND bots.who IS NOT NULL) AS bots,
        count(*) FILTER (ok AND bots.who IS NULL AND weight IS NULL) AS outside
    FROM log_rows
        LEFT JOIN days ON log_rows.day IS NOT DISTINCT FROM days.day
        LEFT JOIN bots ON log_rows.who = bots.who AND log_rows.day = bots.day
    GROUP BY 1
"""

_KEYS: Final = """
    CREATE OR REPLACE TABLE keys AS
    SELECT query_key(query) AS key, sum(weighted) AS weighted, sum(requests) AS requests, sum(recent) AS recent, sum(rows) AS rows
    FROM queries WHERE query IS NOT NULL
    GROUP BY 1
"""


def _lift(connection: Any, trend: Trend | None, days: dict[date, int]) -> int:
    """Give trending keys the weight of their recent rate over all days; returns their number."""
    if trend is None or len(days) <= trend.days:
        return 0
    factor = Fraction(str(trend.factor))
    limits = [trend.least, (len(days) - trend.days) * factor.denominator, factor.numerator * trend.days]
    lifted = connection.execute(
        """
        UPDATE keys SET weighted = greatest(weighted, recent * $4 // $5)
        WHERE recent >= $1 AND recent * $2 >= (requests - recent) * $3
        """,
        [*limits, sum(days.values()), trend.days],
    )
    return int(lifted.fetchone()[0])


def _counted(connection: Any, days: dict[date, int], broken_csv: int, trending: int) -> Counted:
    keyless = connection.execute("SELECT coalesce(sum(rows), 0)::BIGINT FROM keys WHERE key = ''").fetchone()[0]
    connection.execute("DELETE FROM keys WHERE key = ''")
    rows, broken, bots, outside = connection.execute(
        "SELECT coalesce(sum(rows), 0)::BIGINT, coalesce(sum(broken), 0)::BIGINT, coalesce(sum(bots), 0)::BIGINT,"
        " coalesce(sum(outside), 0)::BIGINT FROM queries"
    ).fetchone()
    return Counted(
        rows=rows + broken_csv,
        broken=broken + broken_csv,
        bots=bots,
        outside=outside,
        keyless=keyless,
        trending=trending,
        first=str(min(days)) if days else None,
        last=str(max(days)) if days else None,
    )


def sound(counted: Counted, files: list[Path], shape: LogShape, max_broken: float) -> Counted:
    """What was counted, with the first broken rows named. LogError where there are more of them than allowed."""
    if not counted.broken:
        return counted
    problems = named_problems(files, shape)
    share = counted.broken / counted.rows
    if share > max_broken:
        raise LogError(
            f"{problems[0] if problems else files[0]}; {counted.broken} of {counted.rows} rows are broken ({share:.4%}), "
            f"at most {max_broken:.4%} are allowed: repair the log or raise --max-broken-share"
        )
    return replace(counted, problems=tuple(problems))
