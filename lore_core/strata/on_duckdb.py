"""Counting a log with DuckDB: one process, spilling to disk beyond its memory."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lore_core.records.tables import csv_header
from lore_core.strata.engine import MEMORY
from lore_core.strata.log import COUNT, LogError, LogShape, log_format, require_columns, rows_query
from lore_core.strata.log_problems import named_problems
from lore_core.strata.normaliser import query_key

_BATCH: Final = 10_000


class DuckDb:
    """An Engine on a database below `work` that spills there beyond `memory`, and loads nothing from anywhere."""

    divided = "//"

    def __init__(self, work: Path, memory: str = MEMORY) -> None:
        import duckdb

        work.mkdir(parents=True, exist_ok=True)
        settings = {
            "memory_limit": memory,
            "temp_directory": str(work / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        }
        self.connection = duckdb.connect(str(work / "work.duckdb"), config=settings)
        self.connection.create_function("query_key", _query_keys, ["VARCHAR"], "VARCHAR", type="arrow")
        self._files: list[Path] = []
        self._shape = LogShape()

    def __enter__(self) -> "DuckDb":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def read(self, files: list[Path], shape: LogShape) -> None:
        """See Engine."""
        self._files, self._shape = files, shape
        with self._named():
            define_rows(self.connection, files, shape)

    def rejected(self) -> int:
        """See Engine."""
        return structural_rejects(self.connection)

    def define(self, table: str, query: str) -> None:
        """See Engine."""
        import duckdb

        with self._named():
            try:
                self._make(table, query)
            except duckdb.OutOfMemoryException:
                # Each thread holds blocks that it cannot spill: one gets on with the least.
                print("strata: short of memory, going on with one thread; more --memory is faster", file=sys.stderr)
                self.connection.execute("SET threads = 1")
                self._make(table, query)

    def _make(self, table: str, query: str) -> None:
        forget_rejects(self.connection)
        self.connection.execute(f"CREATE OR REPLACE TABLE {table} AS {query}")

    def values(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """See Engine."""
        self.connection.execute(f"CREATE OR REPLACE TABLE {table} ({', '.join(columns)})")
        if found := list(rows):
            lists = [list(column) for column in zip(*found, strict=True)]
            self.connection.execute(f"INSERT INTO {table} SELECT {', '.join('unnest(?)' for _ in columns)}", lists)

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """See Engine."""
        with self._named():
            found = self.connection.execute(query)
            while batch := found.fetchmany(_BATCH):
                yield from batch

    @contextmanager
    def _named(self) -> Iterator[None]:
        """DuckDB's errors as those of the log, by file and line where a row is the cause."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException as error:
            remedy = "DuckDB ran out of memory or of disk to spill to; raise --memory"
            raise LogError(f"{self._files[0]}: {remedy} ({_first_line(error)})") from error
        except duckdb.Error as error:
            problems = named_problems(self._files, self._shape)
            raise LogError(problems[0] if problems else f"{self._files[0]}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _query_keys(queries: Any) -> Any:
    """The router's normaliser over a column."""
    import pyarrow

    return pyarrow.array([query_key(query) for query in queries.to_pylist()], pyarrow.string())


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
    return rows_query(source, shape, {name: text(name) for name in shape.fields()} | {COUNT: number}, given)


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
    require_columns(file, shape, found)
    values = {
        name: f"{_name(shape.column(name))}::VARCHAR" if shape.column(name) in found else "NULL::VARCHAR"
        for name in shape.fields()
    }
    return rows_query(source, shape, values, f"{values[COUNT]} IS NOT NULL")


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
