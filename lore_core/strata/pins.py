"""Queries whose stratum a person decides, whatever the log says."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Strict, StringConstraints

from lore_core.records.errors import RecordError
from lore_core.records.jsonl import read_records
from lore_core.records.pair import MAX_QUERY
from lore_core.strata.normaliser import query_key
from lore_core.strata.snapshot import Stratum


class Pin(BaseModel):
    """One line of a pins file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: Annotated[str, Strict(), StringConstraints(min_length=1, max_length=MAX_QUERY, pattern=r"\S")]
    stratum: Stratum


def read_pins(path: Path) -> dict[str, Stratum]:
    """Strata by query key. RecordError for a broken line, or a key that is pinned to two strata."""
    return pinned(read_records(path, Pin), path)


def pinned(pins: Iterable[tuple[int, Pin]], source: Path | str) -> dict[str, Stratum]:
    """Strata by query key, of numbered pins. RecordError for a key that is pinned to two strata."""
    found: dict[str, Stratum] = {}
    for line, pin in pins:
        key = query_key(pin.query)
        if found.setdefault(key, pin.stratum) != pin.stratum:
            raise RecordError(
                f"{pin.query!r} is pinned to {found[key]} above",
                "keep one of the two",
                file=source,
                line=line,
                field="stratum",
            )
    return found
