"""Head candidates from impressions: which items each head query is likely to be shown with tomorrow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from lore_core.headcache.candidates import CANDIDATES_NAME, Candidate
from lore_core.records.jsonl import read_records, write_jsonl
from lore_core.strata.engine import MEMORY
from lore_core.strata.log import LogError
from lore_core.strata.normaliser import query_key
from lore_core.strata.on_duckdb import DuckDb
from lore_core.strata.rows import Counted, Days, RowRules, sum_rows
from lore_core.strata.snapshot import StrataSnapshot

_BATCH: Final = 10_000
_MOST_ITEMS: Final = 10_000


@dataclass(frozen=True)
class CandidateRecipe:
    """How candidates are chosen: the `top` items of each head query and market by impressions, decayed as the rows say.

    An item first shown in the last `new_days` days counts as if it had been shown at that rate in the whole window; a new
    item has no history that could lift it. `pins` come first and count against `top`. `known` drops items that the
    catalogue no longer has.
    """

    top: int = 100
    rows: RowRules = field(default_factory=RowRules)
    new_days: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    pins: tuple[Candidate, ...] = ()
    known: frozenset[str] | None = None
    memory: str = MEMORY

    def __post_init__(self) -> None:
        """At least one item a query, at most what a candidates line holds."""
        if not 1 <= self.top <= _MOST_ITEMS or self.new_days < 0:
            raise ValueError(f"top must be 1 to {_MOST_ITEMS} and new days at least 0: {self.top}, {self.new_days}")


@dataclass(frozen=True)
class Chosen:
    """What was written: queries (a market is another query), pairs, and the share of the head's impressions they cover."""

    queries: int
    pairs: int
    covered: float
    gone: int
    counted: Counted


def read_candidate_pins(path: Path) -> tuple[Candidate, ...]:
    """Pins have the form of candidates. Raises RecordError."""
    return tuple(pin for _, pin in read_records(path, Candidate))


def write_candidates(
    files: list[Path], strata: StrataSnapshot, recipe: CandidateRecipe, into: Path, work: Path
) -> Chosen:
    """Write `candidates.jsonl`; equal log, snapshot and recipe give equal bytes. Raises LogError."""
    with DuckDb(work, recipe.memory) as engine:
        connection = engine.connection
        rules = RowRules(recipe.rows.window, recipe.rows.bot_limit, recipe.rows.max_broken, dated=recipe.new_days > 0)
        shape = rules.shape(("query", "item_id"), ("market",), dict(recipe.columns))
        days, counted = sum_rows(engine, files, shape, rules, recipe.new_days)
        _define_head(connection, strata)
        gone = _define_pairs(connection, days, recipe)
        impressions, covered = _coverage(connection, recipe.top)
        into.mkdir(parents=True, exist_ok=True)
        lines = list(_lines(connection, recipe))
    if not lines:
        raise LogError(f"{files[0]}: no item was shown for a head query, and nothing is pinned: {counted.summary()}")
    write_jsonl(into / CANDIDATES_NAME, (line.model_dump(mode="json", exclude_defaults=True) for line in lines))
    pairs = sum(len(line.item_ids) for line in lines)
    return Chosen(len(lines), pairs, covered / impressions if impressions else 0.0, gone, counted)


def _define_head(connection: Any, strata: StrataSnapshot) -> None:
    """Head queries of the log by key, each with the spelling that was asked most."""
    import pyarrow

    def is_head(keys: Any) -> Any:
        return pyarrow.array([strata.stratum_of_key(key) == "head" for key in keys.to_pylist()])

    connection.create_function("is_head", is_head, ["VARCHAR"], "BOOLEAN", type="arrow")
    connection.execute(
        """
        CREATE OR REPLACE TABLE head AS
        SELECT query, key FROM (
            SELECT query, query_key(query) AS key FROM (SELECT DISTINCT query FROM grouped WHERE query IS NOT NULL))
        WHERE key <> '' AND is_head(key)
        """
    )


def _define_pairs(connection: Any, days: Days, recipe: CandidateRecipe) -> int:
    """The table `pairs` with the impressions of each; returns how many pairs name an item the catalogue lacks."""
    connection.execute(
        """
        CREATE OR REPLACE TABLE pairs AS
        SELECT key, market, item_id, sum(weighted) AS weighted, sum(requests) AS shown, min(first) AS first,
            arg_max(query, (requests, query)) AS spelling, max(requests) AS most
        FROM (SELECT key, market, item_id, weighted, requests, first, query FROM grouped JOIN head USING (query))
        GROUP BY key, market, item_id
        """
    )
    gone = _drop_unknown(connection, recipe.known) if recipe.known is not None else 0
    if recipe.new_days and days.weights:
        connection.execute(
            """
            UPDATE pairs SET weighted = greatest(weighted, pairs.shown * $1 // ($2::DATE - items.first + 1))
            FROM (SELECT item_id, min(first) AS first FROM grouped GROUP BY item_id) AS items
            WHERE pairs.item_id = items.item_id AND items.first > $2::DATE - $3::INTEGER
            """,
            [days.weight, max(days.weights), recipe.new_days],
        )
    return gone


def _drop_unknown(connection: Any, known: frozenset[str]) -> int:
    import pyarrow

    connection.register("known_items", pyarrow.table({"item_id": pyarrow.array(sorted(known), pyarrow.string())}))
    removed = connection.execute("DELETE FROM pairs WHERE item_id NOT IN (SELECT item_id FROM known_items)")
    return int(removed.fetchall()[0][0])


_RANKED: Final = """
    SELECT key, market, item_id, spelling, most, shown,
        row_number() OVER (PARTITION BY key, market ORDER BY weighted DESC, item_id) AS place
    FROM pairs
"""


def _coverage(connection: Any, top: int) -> tuple[int, int]:
    """Impressions of the head, and of the pairs among the first `top`; pins not counted."""
    query = (
        f"SELECT coalesce(sum(shown), 0)::BIGINT, coalesce(sum(shown) FILTER (place <= ?), 0)::BIGINT FROM ({_RANKED})"
    )
    found = connection.execute(query, [top]).fetchall()[0]
    return int(found[0]), int(found[1])


def _lines(connection: Any, recipe: CandidateRecipe) -> Iterator[Candidate]:
    """Candidates by query key and market; pinned items first, each item once."""
    pins = {(query_key(pin.query), pin.market): pin for pin in recipe.pins}
    rows = connection.execute(
        f"""
        SELECT key, market, arg_max(spelling, (most, spelling)), list(item_id ORDER BY place)
        FROM ({_RANKED}) WHERE place <= ? GROUP BY key, market ORDER BY key, market
        """,
        [recipe.top],
    )
    while batch := rows.fetchmany(_BATCH):
        for key, market, spelling, items in batch:
            pin = pins.pop((key, market), None)
            yield _candidate(spelling, market, [*(pin.item_ids if pin else ()), *items], recipe.top)
    yield from pins.values()


def _candidate(query: str, market: str, items: list[str], top: int) -> Candidate:
    try:
        return Candidate(query=query, market=market, item_ids=tuple(dict.fromkeys(items))[:top])
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in detail["loc"])
        raise LogError(
            f"query {query[:80]!r}: {place}: {detail['msg']}, found {str(detail['input'])[:80]!r}"
        ) from error
