"""Rows of a JSONL, CSV or Parquet file, as they stand there, each with its 1-based line (Parquet: row) number."""

import csv
import gzip
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final

from lore_core.records.errors import RecordError
from lore_core.records.jsonl import parse_object, read_lines

Row = dict[str, Any]
MAX_CELL: Final = 32 << 20
_BATCH: Final = 1_024
_PICTURES: Final = "image_base64"
_BATCH_OF_PICTURES: Final = 32
"""A picture may be megabytes, and this many rows are held at once."""
_READ_AHEAD: Final = 1 << 20
"""Bytes of a column read at once; without it a whole row group of pictures is."""


def read_table(path: Path, left_out: frozenset[str] = frozenset()) -> Iterator[tuple[int, Row]]:
    """Stream a file's rows without the columns `left_out`, which a Parquet file then need not read.

    The format is told by the file's name (`.gz` may follow). Raises RecordError for a broken row.
    """
    rows = _rows(path, left_out)
    if not left_out:
        yield from rows
    for line, row in rows:
        yield line, {name: value for name, value in row.items() if name not in left_out}


def _rows(path: Path, left_out: frozenset[str]) -> Iterator[tuple[int, Row]]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if packed else suffixes)[-1:]
    try:
        match kind:
            case [".jsonl" | ".ndjson" | ".json"]:
                with _opened(path, packed) as stream:
                    yield from ((line, parse_object(text, path, line)) for line, text in read_lines(stream, path))
            case [".csv"]:
                with _opened(path, packed) as stream:
                    yield from _csv_rows(stream, path)
            case [".parquet"]:
                yield from _parquet_rows(path, left_out)
            case _:
                raise RecordError("unknown kind of file", "name it .jsonl, .csv or .parquet", file=path, line=0)
    except (OSError, EOFError) as error:
        raise RecordError(f"cannot be read ({error})", "check path and permissions", file=path, line=0) from error


def _opened(path: Path, packed: bool) -> IO[bytes]:
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def csv_header(path: Path) -> list[str]:
    """The column names of a CSV file (`.gz` may follow). Raises RecordError where the first line holds none."""
    with _opened(path, path.suffix.lower() == ".gz") as stream:
        lines = (_text(line, path, number) for number, line in enumerate(stream, start=1))
        header = next(csv.reader(lines, strict=True), [])
    _check_header(header, path)
    return header


def _csv_rows(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Row]]:
    """RFC 4180 with a header. Every row must have the header's columns."""
    csv.field_size_limit(MAX_CELL)
    lines = (_text(line, path, number) for number, line in enumerate(stream, start=1))
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        _check_header(header, path)
        for cells in reader:
            if len(cells) != len(header):
                problem = f"{len(cells)} cells, the header has {len(header)} columns"
                raise RecordError(problem, "quote commas and line breaks", file=path, line=reader.line_num)
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise RecordError(f"not valid CSV: {error}", "correct the quoting", file=path, line=reader.line_num) from error


def _check_header(header: list[str], path: Path) -> None:
    double = next((name for name in header if header.count(name) > 1), None)
    if not header or double is not None:
        problem = "no header" if not header else f"the column {double!r} occurs twice"
        raise RecordError(problem, "give the first line one name a column", file=path, line=1, field=double)


def _text(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(
            f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8", file=path, line=number
        ) from error


def _parquet_rows(path: Path, left_out: frozenset[str]) -> Iterator[tuple[int, Row]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with closing(pyarrow.parquet.ParquetFile(path, buffer_size=_READ_AHEAD)) as file:
            number = 0
            columns = [name for name in file.schema_arrow.names if name not in left_out]
            size = _BATCH_OF_PICTURES if _PICTURES in columns else _BATCH
            for batch in file.iter_batches(batch_size=size, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pyarrow.ArrowException as error:
        raise RecordError(f"not a readable Parquet file: {error}", "write it again", file=path, line=0) from error
