"""Counting a log with Spark, for logs beyond one machine. The same SQL as on DuckDB gives the same bytes.

Files are read where Spark's executors run: in local mode this machine, else a folder that all of them mount.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lore_core.records.tables import csv_header
from lore_core.strata.engine import MEMORY
from lore_core.strata.log import COUNT, LogError, LogShape, log_format, require_columns, rows_query
from lore_core.strata.log_problems import named_problems
from lore_core.strata.normaliser import query_key

_TORN = "_torn"
_PARTS_A_CORE = 2


class Spark:
    """An Engine on a Spark session of its own. `master` is Spark's, such as `local[2]`; `memory` is the driver's."""

    divided = "DIV"

    def __init__(self, master: str, work: Path, memory: str = MEMORY) -> None:
        from pyspark.sql import SparkSession

        settings = {
            "spark.driver.memory": memory.lower().removesuffix("b"),
            "spark.local.dir": str(work / "spill"),
            "spark.sql.warehouse.dir": str(work / "warehouse"),
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.ansi.enabled": "true",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        builder = SparkSession.builder.appName("lore strata").master(master)
        for name, value in settings.items():
            builder = builder.config(name, value)
        self._session = builder.getOrCreate()
        self._session.sparkContext.setLogLevel("ERROR")
        parts = _PARTS_A_CORE * self._session.sparkContext.defaultParallelism
        self._session.conf.set("spark.sql.shuffle.partitions", str(parts))
        self._session.udf.register("query_key", query_key, "string")
        self._files: list[Path] = []
        self._shape = LogShape()

    def __enter__(self) -> "Spark":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.stop()

    def read(self, files: list[Path], shape: LogShape) -> None:
        """See Engine."""
        self._files, self._shape = files, shape
        with self._named():
            tables = [
                table for kind, read in _READERS.items() for table in read(self._session, _of(files, kind), shape)
            ]
            self._session.sql(" UNION ALL ".join(tables)).createOrReplaceTempView("log_rows")

    def rejected(self) -> int:
        """Rows of a torn CSV are broken rows here."""
        return 0

    def define(self, table: str, query: str) -> None:
        """See Engine."""
        from pyspark import StorageLevel

        with self._named():
            found = self._session.sql(query).persist(StorageLevel.DISK_ONLY)
            found.count()  # makes it, so that what is wrong with the log is told here
            found.createOrReplaceTempView(table)

    def values(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """See Engine."""
        found = [tuple(row) for row in rows]
        self._session.createDataFrame(found, ", ".join(columns)).createOrReplaceTempView(table)

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """See Engine."""
        with self._named():
            for row in self._session.sql(query).toLocalIterator():
                yield tuple(row)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Spark's errors as those of the log, by file and line where a row is the cause."""
        from py4j.protocol import Py4JJavaError
        from pyspark.errors import PySparkException

        try:
            yield
        except (PySparkException, Py4JJavaError) as error:
            problems = named_problems(self._files, self._shape)
            text = f"{self._files[0]}: {str(error).strip().partition(chr(10))[0]}"
            raise LogError(problems[0] if problems else text) from error


def _of(files: list[Path], kind: str) -> list[str]:
    return [str(path) for path in files if log_format(path) == kind]


def _jsonl(session: Any, files: list[str], shape: LogShape) -> Iterator[str]:
    """Lines as variants: what JSON's types are decides, not what a schema would make of them."""
    if not files:
        return
    lines = session.read.option("lineSep", "\n").text(files).where(r"value RLIKE '\\S'")
    lines.selectExpr("CASE WHEN is_valid_utf8(value) THEN try_parse_json(value) END AS line").createOrReplaceTempView(
        "log_lines"
    )

    def field(name: str) -> str:
        return f"try_variant_get(line, {_text('$[' + _quoted(shape.column(name)) + ']')}"

    def kind(name: str) -> str:
        return f"coalesce(schema_of_variant({field(name)}, 'variant')), 'VOID')"

    values = {name: f"CASE WHEN {kind(name)} = 'STRING' THEN {field(name)}, 'string') END" for name in shape.fields()}
    values[COUNT] = f"CASE WHEN {kind(COUNT)} <> 'STRING' THEN {field(COUNT)}, 'string') END"
    yield rows_query("log_lines", shape, values, f"{kind(COUNT)} <> 'VOID'")


def _csv(session: Any, files: list[str], shape: LogShape) -> Iterator[str]:
    for number, file in enumerate(files):
        header = csv_header(Path(file))
        schema = ", ".join(f"{_name(column)} STRING" for column in (*header, _TORN))
        options = {"header": True, "quote": '"', "escape": '"', "multiLine": True, "columnNameOfCorruptRecord": _TORN}
        session.read.options(**options).schema(schema).csv(file).createOrReplaceTempView(f"log_csv_{number}")
        yield _columns(f"log_csv_{number}", shape, file, header, whole=f"{_name(_TORN)} IS NULL")


def _parquet(session: Any, files: list[str], shape: LogShape) -> Iterator[str]:
    if files:
        found = session.read.option("mergeSchema", True).parquet(*files)
        found.createOrReplaceTempView("log_parquet")
        yield _columns("log_parquet", shape, files[0], found.columns, whole="TRUE")


def _columns(source: str, shape: LogShape, file: str, found: list[str], whole: str) -> str:
    require_columns(file, shape, found)
    values = {
        name: f"CASE WHEN {whole} THEN CAST({_name(shape.column(name))} AS STRING) END"
        if shape.column(name) in found
        else "CAST(NULL AS STRING)"
        for name in shape.fields()
    }
    return rows_query(source, shape, values, f"{values[COUNT]} IS NOT NULL")


_READERS = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}


def _name(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def _quoted(column: str) -> str:
    return '"' + column + '"'


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
