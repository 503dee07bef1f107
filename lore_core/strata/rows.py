"""The rows of a log that count, summed by their texts: a sliding window with decay, bots left out, broken rows named.

All sums are of whole numbers, so neither the number of threads nor the order of rows changes a byte of the outcome.
"""

from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from lore_core.strata.boundaries import WEIGHT_UNIT
from lore_core.strata.engine import Engine
from lore_core.strata.log import LogError, LogShape
from lore_core.strata.log_problems import named_problems

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


def sum_rows(
    engine: Engine, files: list[Path], shape: LogShape, rules: RowRules, recent_days: int = 0
) -> tuple[Days, Counted]:
    """Create the table `grouped`, one row for each different texts of the log's rows. Raises LogError.

    Its columns: `kind` (0 for rows that count), the texts (null for rows that do not), `weighted`, `requests`, `recent` (requests
    of the last `recent_days` days) and `first` (day) where days are asked for, `rows`. Reads the log once, and again for each
    of days and bots that must be known first.
    """
    engine.read(files, shape)
    days = _define_days(engine, rules) if shape.dated else _every_day(engine)
    _define_bots(engine, rules.bot_limit)
    since = max(days.weights) - timedelta(days=recent_days) if recent_days and days.weights else None
    engine.define("grouped", _grouped(shape, since))
    return days, _sound(_counted(engine, days), files, shape, rules.max_broken)


def _every_day(engine: Engine) -> Days:
    """Rows without a day all weigh the same."""
    engine.values("days", _DAYS, [(None, WEIGHT_UNIT)])
    return Days({})


_DAYS: Final = ("day DATE", "weight BIGINT")


def _define_days(engine: Engine, rules: RowRules) -> Days:
    counts = {day: int(n) for day, n in engine.rows("SELECT day, sum(n) FROM log_rows WHERE ok GROUP BY day")}
    until = (rules.window.until if rules.window else None) or _last_busy_day(counts)
    first = min((day for day in counts if day <= until), default=until)
    window = rules.window or Window(days=(until - first).days + 1)
    ages = range(min(window.days, (until - first).days + 1))
    weights = {until - timedelta(days=age): window.weight(age) for age in ages}
    engine.values("days", _DAYS, weights.items())
    return Days(weights)


def _last_busy_day(counts: dict[date, int]) -> date:
    most = max(counts.values(), default=0)
    return max((day for day, count in counts.items() if count * _BUSY >= most), default=date(1970, 1, 1))


def _define_bots(engine: Engine, limit: int | None) -> None:
    if limit is None:
        engine.values("bots", ("who STRING", "day DATE"), ())
    else:
        busy = f"SELECT who, day FROM log_rows WHERE ok GROUP BY who, day HAVING sum(n) > {limit}"
        engine.define("bots", busy)


def _grouped(shape: LogShape, since: date | None) -> str:
    """SQL of the sums. Texts of rows that do not count are left out, so that all of a kind are one group.

    A log has millions of groups and each holds every sum in memory, so what nobody asks for is not summed.
    """
    names = (*shape.texts, *shape.optional)
    kind = f"CASE WHEN NOT ok THEN {_BROKEN} WHEN bots.who IS NOT NULL THEN {_BOT} WHEN weight IS NULL THEN {_OUTSIDE} ELSE 0 END"
    texts = [f"CASE WHEN kind = 0 THEN {name} END" for name in names]
    recent = f"coalesce(sum(n) FILTER (WHERE day > DATE '{since}'), 0)"
    # Where days do not matter both sides have no day: IS NOT DISTINCT FROM joins them.
    return f"""
        SELECT
            kind,
            {", ".join(f"{text} AS {name}" for text, name in zip(texts, names, strict=True))},
            sum(n * weight) AS weighted,
            sum(n) AS requests,
            {recent if since else "CAST(0 AS BIGINT)"} AS recent,
            {"min(day)" if since else "CAST(NULL AS DATE)"} AS first,
            count(*) AS rows
        FROM (
            SELECT {", ".join(names)}, n, log_rows.day AS day, weight, CAST({kind} AS TINYINT) AS kind
            FROM log_rows
                LEFT JOIN days ON log_rows.day IS NOT DISTINCT FROM days.day
                LEFT JOIN bots ON log_rows.who = bots.who AND log_rows.day = bots.day
        ) AS marked
        GROUP BY {", ".join(("kind", *texts))}
    """


_BROKEN: Final = 1
_BOT: Final = 2
_OUTSIDE: Final = 3
"""Kinds of rows that do not count; 0 are those that do."""


def _counted(engine: Engine, days: Days) -> Counted:
    no_rows = engine.rejected()
    found = {kind: int(rows) for kind, rows in engine.rows("SELECT kind, sum(rows) FROM grouped GROUP BY kind")}
    broken, bots, outside = (found.get(kind, 0) for kind in (_BROKEN, _BOT, _OUTSIDE))
    first, last = (str(min(days.weights)), str(max(days.weights))) if days.weights else (None, None)
    return Counted(sum(found.values()) + no_rows, broken + no_rows, bots, outside, first, last)


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
