"""The rows of a log that count, summed by their texts: a sliding window with decay, bots left out, broken rows named.

All sums are of whole numbers, so neither the number of threads nor the order of rows changes a byte of the outcome.
"""

from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from lore_core.strata.boundaries import WEIGHT_UNIT
from lore_core.strata.log import LogError, LogShape, define_rows, forget_rejects, structural_rejects
from lore_core.strata.log_problems import named_problems
from lore_core.strata.normaliser import query_key

MEMORY: Final = "1GB"
_BUSY: Final = 100


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
class RowRules:
    """Which rows count. `bot_limit`: a user with more requests on one day counts not at all on that day.

    Without a window all days count alike; `dated` says that rows need a day all the same.
    """

    window: Window | None = None
    bot_limit: int | None = None
    max_broken: float = 0.001
    dated: bool = False

    def shape(self, texts: tuple[str, ...], optional: tuple[str, ...], columns: dict[str, str]) -> LogShape:
        """What a log must have for these rules."""
        dated = self.dated or self.window is not None or self.bot_limit is not None
        return LogShape(texts, optional, columns, dated=dated, with_users=self.bot_limit is not None)


@dataclass(frozen=True)
class Counted:
    """What became of the rows of a log; `first` and `last` are the days that count, as far as the log is dated."""

    rows: int
    broken: int
    bots: int
    outside: int
    first: str | None
    last: str | None
    problems: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """For machines; broken rows are named elsewhere, since their text is not ours to publish."""
        return {name: value for name, value in asdict(self).items() if name != "problems"}


@dataclass(frozen=True)
class Days:
    """The days that count, with the weight of a row of each; empty where the log's days do not matter."""

    weights: dict[date, int]

    @property
    def weight(self) -> int:
        """Weight of one row a day over all days."""
        return sum(self.weights.values())


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


def sum_rows(
    connection: Any, files: list[Path], shape: LogShape, rules: RowRules, recent_days: int = 0
) -> tuple[Days, Counted]:
    """Create the table `grouped`, one row for each different texts of the log's rows. Raises LogError.

    Its columns: the texts (null in the one row of all that do not count), `weighted`, `requests`, `recent` (requests of the
    last `recent_days` days), `first` (day), `rows`. Reads the log once, and again for each of days and bots that
    must be known first.
    """
    import duckdb

    try:
        define_rows(connection, files, shape)
        days = _define_days(connection, rules) if shape.dated else _every_day(connection)
        _define_bots(connection, rules.bot_limit)
        forget_rejects(connection)
        connection.execute(_grouped(shape), [recent_days])
        counted = _counted(connection, days, structural_rejects(connection))
    except duckdb.OutOfMemoryException as error:
        remedy = "DuckDB ran out of memory or of disk to spill to; raise --memory"
        raise LogError(f"{files[0]}: {remedy} ({_first_line(error)})") from error
    except duckdb.Error as error:
        problems = named_problems(files, shape)
        raise LogError(problems[0] if problems else f"{files[0]}: {_first_line(error)}") from error
    return days, _sound(counted, files, shape, rules.max_broken)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _every_day(connection: Any) -> Days:
    """Rows without a day all weigh the same."""
    connection.execute("CREATE OR REPLACE TABLE days AS SELECT NULL::DATE AS day, ?::BIGINT AS weight", [WEIGHT_UNIT])
    return Days({})


def _define_days(connection: Any, rules: RowRules) -> Days:
    counts = dict(connection.execute("SELECT day, sum(n) FROM log_rows WHERE ok GROUP BY day").fetchall())
    until = (rules.window.until if rules.window else None) or _last_busy_day(counts)
    first = min((day for day in counts if day <= until), default=until)
    window = rules.window or Window(days=(until - first).days + 1)
    ages = range(min(window.days, (until - first).days + 1))
    weights = {until - timedelta(days=age): window.weight(age) for age in ages}
    columns = [[*weights], [*weights.values()]]
    connection.execute("CREATE OR REPLACE TABLE days AS SELECT unnest(?) AS day, unnest(?)::BIGINT AS weight", columns)
    return Days(weights)


def _last_busy_day(counts: dict[date, int]) -> date:
    most = max(counts.values(), default=0)
    return max((day for day, count in counts.items() if count * _BUSY >= most), default=date(1970, 1, 1))


def _define_bots(connection: Any, limit: int | None) -> None:
    connection.execute("CREATE OR REPLACE TABLE bots (who VARCHAR, day DATE)")
    if limit is not None:
        connection.execute(
            "INSERT INTO bots SELECT who, day FROM log_rows WHERE ok GROUP BY who, day HAVING sum(n) > ?", [limit]
        )


def _grouped(shape: LogShape) -> str:
    names = (*shape.texts, *shape.optional)
    counts = "ok AND bots.who IS NULL AND weight IS NOT NULL"
    texts = ", ".join(f"CASE WHEN {counts} THEN {name} END AS {name}" for name in names)
    # Where days do not matter both sides have no day: IS NOT DISTINCT FROM joins them.
    return f"""
        CREATE OR REPLACE TABLE grouped AS
        SELECT
            {texts},
            sum(n * weight) AS weighted,
            sum(n) AS requests,
            coalesce(sum(n) FILTER (log_rows.day > (SELECT max(day) FROM days) - $1::INTEGER), 0) AS recent,
            min(log_rows.day) AS first,
            count(*) AS rows,
            count(*) FILTER (NOT ok) AS broken,
            count(*) FILTER (ok AND bots.who IS NOT NULL) AS bots,
            count(*) FILTER (ok AND bots.who IS NULL AND weight IS NULL) AS outside
        FROM log_rows
            LEFT JOIN days ON log_rows.day IS NOT DISTINCT FROM days.day
            LEFT JOIN bots ON log_rows.who = bots.who AND log_rows.day = bots.day
        GROUP BY {", ".join(str(number + 1) for number in range(len(names)))}
    """


def _counted(connection: Any, days: Days, broken_csv: int) -> Counted:
    rows, broken, bots, outside = connection.execute(
        "SELECT coalesce(sum(rows), 0)::BIGINT, coalesce(sum(broken), 0)::BIGINT, coalesce(sum(bots), 0)::BIGINT,"
        " coalesce(sum(outside), 0)::BIGINT FROM grouped"
    ).fetchall()[0]
    first, last = (str(min(days.weights)), str(max(days.weights))) if days.weights else (None, None)
    return Counted(rows + broken_csv, broken + broken_csv, bots, outside, first, last)


def _sound(counted: Counted, files: list[Path], shape: LogShape, max_broken: float) -> Counted:
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
