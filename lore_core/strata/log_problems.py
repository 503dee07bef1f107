"""What is wrong with the rows of a log that DuckDB marked as broken: read again, and named by file and line."""

import gzip
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from lore_core.records.errors import RecordError
from lore_core.records.jsonl import parse_object
from lore_core.records.tables import Row, read_table
from lore_core.strata.log import COUNT, DAY, LENGTHS, MAX_COUNT, USER, LogShape, log_format

NAMED: Final = 10


def named_problems(files: list[Path], shape: LogShape) -> list[str]:
    """The first broken rows as `file: line N: problem`; reads from the start until `NAMED` are found."""
    return list(islice(_problems(files, shape), NAMED))


def _problems(files: list[Path], shape: LogShape) -> Iterator[str]:
    for path in files:
        rows = _lines(path) if log_format(path) == "jsonl" else _records(path)
        for line, row in rows:
            found = row if isinstance(row, str) else problem(row, shape)
            if found is not None:
                yield f"{path}: line {line}: {found}"


def _lines(path: Path) -> Iterator[tuple[int, Row | str]]:
    with _opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                yield number, parse_object(line, path, number)
            except RecordError as error:
                yield number, str(error).partition(": ")[2]


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _records(path: Path) -> Iterator[tuple[int, Row | str]]:
    try:
        yield from read_table(path)
    except RecordError as error:  # what follows it cannot be told apart
        yield error.failure.line or 0, str(error).partition(": ")[2]


def problem(row: Row, shape: LogShape) -> str | None:
    """Why a row cannot be used, beginning with its field; None where it can."""
    for name in (*shape.texts, *shape.optional):
        value = row.get(shape.column(name))
        if value is None and name in shape.optional:
            continue
        if not isinstance(value, str) or not (value or name in shape.optional):
            return f"{name}: must be text"
        if len(value) > LENGTHS[name] or not _is_unicode(value):
            return f"{name}: must be at most {LENGTHS[name]} characters of Unicode"
    if shape.dated and not _is_day(row.get(shape.column(DAY))):
        return f"{DAY}: must be a day such as 2026-11-30"
    if shape.with_users and row.get(shape.column(USER)) in (None, ""):
        return f"{USER}: must be text"
    return None if _is_count(row.get(shape.column(COUNT))) else f"{COUNT}: must be a whole number of at least 1"


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _is_day(value: Any) -> bool:
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return True


def _is_count(value: Any) -> bool:
    if value is None or value == "":
        return True
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool) and number.is_integer() and 1 <= number <= MAX_COUNT
