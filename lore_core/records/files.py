"""Reading and writing files of pairs."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from lore_core.records.errors import RecordError
from lore_core.records.jsonl import read_records, write_jsonl
from lore_core.records.pair import Pair

SPLITS: Final = ("train", "tune", "calibration")


def read_pairs(path: Path, seen: set[str] | None = None) -> Iterator[Pair]:
    """Stream the pairs of a JSONL file; the first bad line raises RecordError with file, line and field.

    `seen` carries ids already read from other files, so that an id is unique over a whole artifact.
    """
    ids = set() if seen is None else seen
    for line, pair in read_records(path, Pair):
        if pair.id in ids:
            raise RecordError(
                f"the id {pair.id!r} occurs a second time",
                "give every pair its own id",
                file=path,
                line=line,
                field="id",
            )
        ids.add(pair.id)
        yield pair


def read_splits(folder: Path, names: Iterable[str] = SPLITS) -> dict[str, list[Pair]]:
    """The named JSONL files of a `pairs` or `benchmark` artifact, ids unique over all of them."""
    seen: set[str] = set()
    return {name: list(read_pairs(folder / f"{name}.jsonl", seen)) for name in names}


def write_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs one a line, fields in their declared order, defaults left out; returns their number."""
    return write_jsonl(path, (pair.model_dump(mode="json", exclude_defaults=True) for pair in pairs))
