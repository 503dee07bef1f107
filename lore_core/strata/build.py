"""From a query log to a snapshot: traffic per query key, boundaries by share of traffic, the two files."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lore_core.artifacts.manifest import canonical_json
from lore_core.artifacts.store import file_digest
from lore_core.strata.normaliser import NORMALISER_VERSION, query_key
from lore_core.strata.snapshot import BIN_NAME, FORMAT_VERSION, JSON_NAME, KEY_BYTES, Stratum, snapshot_bytes

MAX_LINE_BYTES: Final = 1 << 20


class LogError(ValueError):
    """A query log that cannot be read; the message names file, line and field."""

    reason = "BadQueryLog"


@dataclass(frozen=True)
class Boundaries:
    """Shares of traffic: the most frequent queries that together make `head` are head, the next `torso` torso."""

    head: float
    torso: float

    def __post_init__(self) -> None:
        """Shares must leave room for each other."""
        if self.head < 0 or self.torso < 0 or self.head + self.torso > 1:
            raise ValueError(f"shares must be at least 0 and sum to at most 1: head {self.head}, torso {self.torso}")


@dataclass(frozen=True)
class StratumCount:
    """Size of one stratum: distinct query keys, and requests of the log."""

    queries: int = 0
    requests: int = 0


def traffic(log: Path) -> dict[str, int]:
    """Requests per query key of a JSONL log: `{"query": text, "count": integer}` a line, count 1 where absent."""
    totals: dict[str, int] = {}
    for query, count in _distinct(log):
        key = query_key(query)
        if key:
            totals[key] = totals.get(key, 0) + count
    return totals


def _distinct(log: Path) -> Iterator[tuple[str, int]]:
    """Distinct raw queries with their requests, aggregated by DuckDB in bounded memory."""
    import duckdb

    with duckdb.connect() as connection:
        try:
            rows = connection.execute(_DISTINCT, {"log": str(log)})
        except duckdb.Error as error:
            raise _first_broken_line(log) or LogError(f"{log}: {error}") from error
        while batch := rows.fetchmany(10_000):
            for query, count, lowest in batch:
                if query is None or lowest < 1:
                    raise _first_broken_line(log) or LogError(f"{log}: a line without query or with a count below 1")
                yield query, int(count)


_DISTINCT: Final = """
    SELECT query, sum(coalesce("count", 1)) AS requests, min(coalesce("count", 1)) AS lowest
    FROM read_json($log, format = 'newline_delimited', columns = {query: 'VARCHAR', "count": 'BIGINT'})
    GROUP BY query
"""


def _first_broken_line(log: Path) -> LogError | None:
    """Where the log is broken; only read line by line once DuckDB has refused it."""
    if not log.is_file():
        return LogError(f"{log}: not there; check the path")
    with log.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), start=1):
            if problem := _problem(line):
                return LogError(f"{log}: line {number}: {problem}")
    return None


def _problem(line: bytes) -> str | None:
    try:
        value: Any = json.loads(line)
    except ValueError as error:
        return f"not JSON: {error}; write one object a line"
    if not isinstance(value, dict) or not isinstance(value.get("query"), str):
        return "query: must be text"
    count = value.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        return "count: must be a whole number of at least 1"
    return None


def assign(totals: dict[str, int], boundaries: Boundaries) -> list[tuple[str, Stratum, int]]:
    """Query keys with stratum and requests, most frequent first, ties by key.

    A query is head while the more frequent ones together have less than the head share, and torso likewise.
    """
    everything, before = sum(totals.values()), 0
    assigned: list[tuple[str, Stratum, int]] = []
    for key, requests in sorted(totals.items(), key=lambda entry: (-entry[1], entry[0])):
        share = before / everything
        stratum: Stratum = "tail"
        if share < boundaries.head:
            stratum = "head"
        elif share < boundaries.head + boundaries.torso:
            stratum = "torso"
        assigned.append((key, stratum, requests))
        before += requests
    return assigned


def build(log: Path, boundaries: Boundaries, into: Path, secret: bytes | None = None) -> dict[str, StratumCount]:
    """Write `strata.bin` and `strata.json` into a folder; equal log, boundaries and key give equal bytes.

    Without a key, one is derived from the log, so that hashes of two snapshots cannot be joined by who has neither log.
    """
    log_digest, _ = file_digest(log) if log.is_file() else ("", 0)
    assigned = assign(traffic(log), boundaries)
    if not assigned:
        raise LogError(f"{log}: no query in it")
    key = secret or hashlib.blake2b(log_digest.encode(), digest_size=KEY_BYTES, person=b"lore-strata").digest()
    counts = _counts(assigned)
    into.mkdir(parents=True, exist_ok=True)
    (into / BIN_NAME).write_bytes(snapshot_bytes(((k, stratum) for k, stratum, _ in assigned), key))
    (into / JSON_NAME).write_bytes(canonical_json(_description(boundaries, counts)))
    return counts


def _counts(assigned: list[tuple[str, Stratum, int]]) -> dict[str, StratumCount]:
    counts = {name: StratumCount() for name in ("head", "torso", "tail")}
    for _, stratum, requests in assigned:
        old = counts[stratum]
        counts[stratum] = StratumCount(old.queries + 1, old.requests + requests)
    return counts


def _description(boundaries: Boundaries, counts: dict[str, StratumCount]) -> dict[str, Any]:
    return {
        "formatVersion": FORMAT_VERSION,
        "normaliser": NORMALISER_VERSION,
        "boundaries": {"headShare": str(boundaries.head), "torsoShare": str(boundaries.torso)},
        "strata": {name: {"queries": c.queries, "requests": c.requests} for name, c in counts.items()},
    }
