"""Search logs as one table in DuckDB, whatever their format; rows that cannot be used are marked, never dropped unseen.

A log is JSONL, CSV (either may be gzipped) or Parquet. Every row becomes the texts asked for, `n` (how often it happened,
1 where the log does not say), `day`, `who` and `ok`. What `ok` means stands in `_table`, and in words in `log_problems`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from lore_core.artifacts.manifest import MANIFEST_NAME
from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import NotFound, open_store, verify
from lore_core.records.pair import MAX_QUERY
from lore_core.records.tables import csv_header

MAX_COUNT: Final = 1_000_000_000
LENGTHS: Final = {"query": MAX_QUERY, "market": 128, "item_id": 256}
"""The longest text of each field, in characters."""
DAY: Final = "date"
COUNT: Final = "count"
USER: Final = "user"
_SUFFIXES: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


class LogError(ValueError):
    """A log that cannot be used; the message names file, line and field."""

    reason = "BadQueryLog"


@dataclass(frozen=True)
class LogShape:
    """Which fields a log must have.

    `texts` are required, `optional` texts are empty where absent. Fields are read from columns of their own name, or of
    the one that `columns` maps them to. `dated` and `with_users` say whether a row needs a day and a user.
    """

    texts: tuple[str, ...] = ("query",)
    optional: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    dated: bool = False
    with_users: bool = False

    def __post_init__(self) -> None:
        """A field that no log has cannot be mapped."""
        known = (*self.texts, *self.optional, COUNT, DAY, USER)
        for name in self.columns:
            if name not in known:
                raise ValueError(f"{name}: no field of this log; the fields are {', '.join(known)}")

    def column(self, name: str) -> str:
        """The column that a field is read from."""
        return self.columns.get(name, name)

    def needed(self) -> tuple[str, ...]:
        """Fields that every row must have."""
        return (*self.texts, *((DAY,) if self.dated else ()), *((USER,) if self.with_users else ()))

    def fields(self) -> tuple[str, ...]:
        """Fields that are read where they are there."""
        return (*self.texts, *self.optional, COUNT, *self.needed()[len(self.texts) :])


def log_files(named: str, work: Path, credentials: str | None = None) -> list[Path]:
    """The files of a log: a local file, folder or pattern, or an artifact or single file of a store, fetched into `work`."""
    if urlsplit(named).scheme and "://" in named:
        return _known(_fetched(ArtifactRef(uri=named, credentials=credentials), work), named)
    path = Path(named)
    if path.is_dir():
        return _known(sorted(p for p in path.iterdir() if p.is_file()), named)
    if path.is_file():
        return _known([path], named)
    return _known(sorted(path.parent.glob(path.name)), named)


def _fetched(ref: ArtifactRef, work: Path) -> list[Path]:
    if open_store(ref).exists():
        verify(ref, work)
        return sorted(p for p in work.iterdir() if p.name != MANIFEST_NAME)
    folder, _, name = ref.uri.rpartition("/")
    try:
        open_store(ArtifactRef(uri=folder, credentials=ref.credentials)).download(name, work / name)
    except NotFound as error:
        raise LogError(f"{ref.uri}: neither an artifact nor a file; check the uri") from error
    return [work / name]


def _known(files: list[Path], named: str) -> list[Path]:
    if not files:
        raise LogError(f"{named}: not there; check the path")
    for path in files:
        if log_format(path) is None:
            raise LogError(f"{path}: unknown kind of file; name it .jsonl, .csv (either may end in .gz) or .parquet")
    return files


def log_format(path: Path) -> str | None:
    """`jsonl`, `csv` or `parquet` by the file's name; None for anything else."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kept = suffixes[:-1] if suffixes[-1:] == [".gz"] else suffixes
    return _SUFFIXES.get(kept[-1]) if kept else None


def define_rows(connection: Any, files: list[Path], shape: LogShape) -> None:
    """Create the view `log_rows`; nothing is read but headers. Raises LogError for a missing column."""
    tables = []
    for kind in ("jsonl", "csv", "parquet"):
        of_kind = [str(path) for path in files if log_format(path) == kind]
        if of_kind:
            tables.append(_TABLES[kind](connection, of_kind, shape))
    connection.execute(f"CREATE OR REPLACE VIEW log_rows AS {' UNION ALL '.join(tables)}")


def _jsonl_table(_: Any, files: list[str], shape: LogShape) -> str:
    # A line that is no object, or has no UTF-8, is a row of nulls: ignore_errors keeps its place.
    columns = ", ".join(f"{_name(shape.column(name))}: 'JSON'" for name in shape.fields())
    source = f"read_json({_list(files)}, format = 'newline_delimited', ignore_errors = true, columns = {{{columns}}})"

    def text(name: str) -> str:
        column = _name(shape.column(name))
        return f"CASE WHEN json_type({column}) = 'VARCHAR' THEN {column} ->> '$' END"

    number = (
        f"CASE WHEN json_type({_name(shape.column(COUNT))}) <> 'VARCHAR' THEN {_name(shape.column(COUNT))}::VARCHAR END"
    )
    given = f"coalesce(json_type({_name(shape.column(COUNT))}), 'NULL') <> 'NULL'"
    return _table(source, shape, {name: text(name) for name in shape.fields()} | {COUNT: number}, given)


def _csv_table(_: Any, files: list[str], shape: LogShape) -> str:
    return " UNION ALL ".join(_csv_file(file, shape) for file in files)


def _csv_file(file: str, shape: LogShape) -> str:
    """One file with its own header. Rows that are no CSV go to the table reject_errors."""
    header = csv_header(Path(file))
    columns = ", ".join(f"{_name(column)}: 'VARCHAR'" for column in header)
    source = (
        f"read_csv({_list([file])}, columns = {{{columns}}}, header = true, auto_detect = false, delim = ',', quote = '\"',"
        " escape = '\"', ignore_errors = true, store_rejects = true)"
    )
    return _columns_table(source, shape, file, header)


def _parquet_table(connection: Any, files: list[str], shape: LogShape) -> str:
    source = f"read_parquet({_list(files)}, union_by_name = true)"
    found = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    return _columns_table(source, shape, files[0], found)


def _columns_table(source: str, shape: LogShape, file: str, found: list[str]) -> str:
    for name in (*shape.needed(), *shape.columns):
        if shape.column(name) not in found:
            known = ", ".join(found[:20])
            raise LogError(f"{file}: {name}: no column {shape.column(name)!r}; the columns are {known}")
    values = {
        name: f"{_name(shape.column(name))}::VARCHAR" if shape.column(name) in found else "NULL::VARCHAR"
        for name in shape.fields()
    }
    return _table(source, shape, values, f"{values[COUNT]} IS NOT NULL")


def _table(source: str, shape: LogShape, values: Mapping[str, str], count_given: str) -> str:
    """SQL of one format's rows: every value as text or null, then what it must be."""
    texts = ", ".join(f"{values[name]} AS {name}" for name in (*shape.texts, *shape.optional))
    day = f"try_cast({values[DAY]} AS TIMESTAMP)::DATE" if shape.dated else "NULL::DATE"
    who = values[USER] if shape.with_users else "NULL::VARCHAR"
    sound = [f"length({name}) BETWEEN 1 AND {LENGTHS[name]}" for name in shape.texts]
    sound += [f"coalesce(length({name}), 0) <= {LENGTHS[name]}" for name in shape.optional]
    sound += ["day IS NOT NULL"] if shape.dated else []
    sound += ["length(who) >= 1"] if shape.with_users else []
    # A count of 1.5 would be rounded by the cast to a whole number, so both casts must agree.
    sound += [f"n BETWEEN 1 AND {MAX_COUNT} AND n = fraction"]
    return f"""
        SELECT {", ".join((*shape.texts, *(f"coalesce({o}, '') AS {o}" for o in shape.optional)))}, n, day, who,
            coalesce({" AND ".join(sound)}, false) AS ok
        FROM (SELECT {texts}, {day} AS day, {who} AS who,
                CASE WHEN {count_given} THEN try_cast({values[COUNT]} AS BIGINT) ELSE 1 END AS n,
                CASE WHEN {count_given} THEN try_cast({values[COUNT]} AS DOUBLE) ELSE 1 END AS fraction
            FROM {source})
    """


_TABLES: Final = {"jsonl": _jsonl_table, "csv": _csv_table, "parquet": _parquet_table}


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _list(files: list[str]) -> str:
    return "[" + ", ".join("'" + file.replace("'", "''") + "'" for file in files) + "]"


def forget_rejects(connection: Any) -> None:
    """Begin to count structural rejects anew."""
    if _has_rejects(connection):
        connection.execute("DELETE FROM reject_errors")


def structural_rejects(connection: Any) -> int:
    """CSV rows that were no rows at all, since `forget_rejects`."""
    if not _has_rejects(connection):
        return 0  # no CSV was read
    found = connection.execute("SELECT count(DISTINCT (scan_id, file_id, line)) FROM reject_errors").fetchall()[0]
    return int(found[0])


def _has_rejects(connection: Any) -> bool:
    query = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'"
    return bool(connection.execute(query).fetchall()[0][0])


def column_map(words: list[str]) -> dict[str, str]:
    """`FIELD=COLUMN` words of the command line. Raises ValueError."""
    found = {}
    for word in words:
        name, equals, column = word.partition("=")
        if not (name and equals and column):
            raise ValueError(f"--column {json.dumps(word)}: write FIELD=COLUMN")
        found[name] = column
    return found
