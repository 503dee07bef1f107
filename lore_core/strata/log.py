"""Search logs as one table, whatever their format; rows that cannot be used are marked, never dropped unseen.

A log is JSONL, CSV (either may be gzipped) or Parquet. Every row becomes the texts asked for, `n` (how often it happened,
1 where the log does not say), `day`, `who` and `ok`. What `ok` means stands in `rows_query`, and in words in `log_problems`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from lore_core.artifacts.manifest import MANIFEST_NAME
from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import open_store, verify
from lore_core.records.pair import MAX_QUERY

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
    """The files of a log: a local file, folder or pattern, or an artifact, file or folder of a store, fetched into `work`."""
    if urlsplit(named).scheme and "://" in named:
        return _known(_fetched(ArtifactRef(uri=named, credentials=credentials), work), named)
    path = Path(named)
    if path.is_dir():
        return _known(sorted(p for p in path.iterdir() if p.is_file()), named)
    if path.is_file():
        return _known([path], named)
    return _known(sorted(path.parent.glob(path.name)), named)


def _fetched(ref: ArtifactRef, work: Path) -> list[Path]:
    """An artifact, whole and verified; else one file; else the files of a folder that have a log's name."""
    if open_store(ref).exists():
        verify(ref, work)
        return sorted(p for p in work.iterdir() if p.name != MANIFEST_NAME)
    folder, _, name = ref.uri.rstrip("/").rpartition("/")
    if log_format(Path(name)) is not None:
        outer = open_store(ArtifactRef(uri=folder, credentials=ref.credentials))
        if name in outer.file_names():
            outer.download(name, work / name)
            return [work / name]
    store = open_store(ref)
    names = [name for name in store.file_names() if log_format(Path(name)) is not None]
    if not names:
        raise LogError(f"{ref.uri}: neither an artifact nor a log file nor a folder of log files; check the uri")
    for name in names:
        store.download(name, work / name)
    return [work / name for name in names]


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


def require_columns(file: str, shape: LogShape, found: Sequence[str]) -> None:
    """LogError where a file lacks a column that every row must have, or that a field was mapped to."""
    for name in (*shape.needed(), *shape.columns):
        if shape.column(name) not in found:
            known = ", ".join(found[:20])
            raise LogError(f"{file}: {name}: no column {shape.column(name)!r}; the columns are {known}")


def rows_query(source: str, shape: LogShape, values: Mapping[str, str], count_given: str) -> str:
    """SQL of one source's rows, the same for every engine. `values` are the fields in SQL, as texts or nulls."""
    texts = ", ".join(f"{values[name]} AS {name}" for name in (*shape.texts, *shape.optional))
    written = values[DAY] if shape.dated else "CAST(NULL AS STRING)"
    who = values[USER] if shape.with_users else "CAST(NULL AS STRING)"
    sound = [f"length({name}) BETWEEN 1 AND {LENGTHS[name]}" for name in shape.texts]
    sound += [f"coalesce(length({name}), 0) <= {LENGTHS[name]}" for name in shape.optional]
    sound += ["day IS NOT NULL"] if shape.dated else []
    sound += ["length(who) >= 1"] if shape.with_users else []
    # 1.5 is no count; up to the greatest one a double is exact.
    sound += [f"number BETWEEN 1 AND {MAX_COUNT} AND number = floor(number)"]
    # Engines part on what else they take for a day: a year alone is one for Spark, and a time with an offset its day in UTC.
    told = "written LIKE '____-__-__%' AND try_cast(written AS TIMESTAMP) IS NOT NULL"
    day = f"CASE WHEN {told} THEN try_cast(substr(written, 1, 10) AS DATE) END"
    return f"""
        SELECT {", ".join((*shape.texts, *(f"coalesce({o}, '') AS {o}" for o in shape.optional)))}, day, who, ok,
            CASE WHEN ok THEN CAST(number AS BIGINT) END AS n
        FROM (SELECT *, coalesce({" AND ".join(sound)}, false) AS ok
            FROM (SELECT {", ".join((*shape.texts, *shape.optional))}, who, number, {day} AS day
                FROM (SELECT {texts}, {written} AS written, {who} AS who,
                        CASE WHEN {count_given} THEN try_cast({values[COUNT]} AS DOUBLE) ELSE CAST(1 AS DOUBLE) END AS number
                    FROM {source}) AS fields) AS typed) AS judged
    """


def column_map(words: list[str]) -> dict[str, str]:
    """`FIELD=COLUMN` words of the command line. Raises ValueError."""
    found = {}
    for word in words:
        name, equals, column = word.partition("=")
        if not (name and equals and column):
            raise ValueError(f"--column {json.dumps(word)}: write FIELD=COLUMN")
        found[name] = column
    return found
