"""From a query log to a snapshot: traffic per query key, boundaries, pins, and what the previous snapshot said."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from lore_core.artifacts.manifest import canonical_json
from lore_core.artifacts.store import file_digest
from lore_core.strata.boundaries import Boundaries, Frequencies, Limits, limits
from lore_core.strata.engine import MEMORY, Engine
from lore_core.strata.log import LogError
from lore_core.strata.normaliser import NORMALISER_VERSION
from lore_core.strata.on_duckdb import DuckDb
from lore_core.strata.rows import Counted
from lore_core.strata.snapshot import (
    BIN_NAME,
    FORMAT_VERSION,
    JSON_NAME,
    KEY_BYTES,
    StrataSnapshot,
    Stratum,
    snapshot_bytes,
)
from lore_core.strata.traffic import Traffic, TrafficRules, count_traffic

Assigned = tuple[str, Stratum, int]
"""Query key, stratum, requests."""


@dataclass(frozen=True)
class Recipe:
    """How a snapshot is made from a log.

    `hysteresis` is the margin around a boundary inside which a query keeps the stratum of the previous snapshot. `secret`
    keys the hashes; without one it is the previous snapshot's, or derived from the log, so that hashes of two snapshots
    cannot be joined by who has neither log.
    """

    boundaries: Boundaries = field(default_factory=Boundaries)
    traffic: TrafficRules = field(default_factory=TrafficRules)
    columns: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, Stratum] = field(default_factory=dict)
    hysteresis: str = "0.1"
    secret: bytes | None = None
    memory: str = MEMORY

    def __post_init__(self) -> None:
        """The margin is a share."""
        if not 0 <= Fraction(self.hysteresis) < 1:
            raise ValueError(f"hysteresis must be at least 0 and below 1, is {self.hysteresis}")


@dataclass(frozen=True)
class StratumCount:
    """Size of one stratum: distinct query keys, and requests of the log."""

    queries: int = 0
    requests: int = 0


@dataclass(frozen=True)
class Built:
    """What was written, and what a report needs beside it."""

    counts: dict[Stratum, StratumCount]
    moved: dict[str, int]
    counted: Counted
    log: dict[str, Any]
    frequencies: Frequencies
    examples: tuple[str, ...]


def build(files: list[Path], recipe: Recipe, into: Path, work: Path, previous: StrataSnapshot | None = None) -> Built:
    """Write `strata.bin` and `strata.json` into a folder; equal log, recipe and previous snapshot give equal bytes."""
    with DuckDb(work, recipe.memory) as engine:
        return build_on(engine, files, recipe, into, previous)


def build_on(
    engine: Engine, files: list[Path], recipe: Recipe, into: Path, previous: StrataSnapshot | None = None
) -> Built:
    """`build` on any engine; the bytes are the same on each."""
    traffic = count_traffic(engine, files, dict(recipe.columns), recipe.traffic)
    frequencies = traffic.frequencies()
    if not frequencies.queries and not recipe.pins:
        raise LogError(f"{files[0]}: no query in it that counts: {traffic.summary()}")
    margin = Fraction(recipe.hysteresis) if previous is not None else Fraction(0)
    assigned = list(assign(traffic, limits(recipe.boundaries, frequencies, margin), recipe.pins, previous))
    counts = _counts(assigned, *traffic.totals())
    secret = recipe.secret or (previous.secret if previous is not None else _secret(files))
    moved = movements(assigned, previous) if previous is not None else {}
    into.mkdir(parents=True, exist_ok=True)
    (into / BIN_NAME).write_bytes(snapshot_bytes(((key, stratum) for key, stratum, _ in assigned), secret))
    (into / JSON_NAME).write_bytes(canonical_json(_description(recipe, counts, moved, traffic.summary())))
    examples = tuple(key for key, stratum, _ in assigned[:_EXAMPLES] if stratum == "head")
    return Built(counts, moved, traffic.counted, traffic.summary(), frequencies, examples)


_EXAMPLES: Final = 10


def assign(
    traffic: Traffic, bounds: Limits, pins: Mapping[str, Stratum], previous: StrataSnapshot | None
) -> Iterator[Assigned]:
    """Head and torso queries, most frequent first, ties by key; then pinned ones that are not among them."""
    open_pins = dict(pins)
    for rank, (key, requests) in enumerate(traffic.most_frequent(bounds.leave.torso)):
        before = previous.stratum_of_key(key) if previous is not None else "tail"
        stratum = open_pins.pop(key, None) or bounds.stratum(rank, before)
        if stratum != "tail":
            yield key, stratum, requests
    known = traffic.requests_of(open_pins)
    yield from ((key, stratum, known.get(key, 0)) for key, stratum in sorted(open_pins.items()) if stratum != "tail")


def _secret(files: Iterable[Path]) -> bytes:
    digests = ",".join(file_digest(path)[0] for path in files)
    return hashlib.blake2b(digests.encode(), digest_size=KEY_BYTES, person=b"lore-strata").digest()


def _counts(assigned: Iterable[Assigned], queries: int, requests: int) -> dict[Stratum, StratumCount]:
    found: dict[Stratum, StratumCount] = {"head": StratumCount(), "torso": StratumCount()}
    seen = 0
    for _, stratum, number in assigned:
        old = found[stratum]
        found[stratum] = StratumCount(old.queries + 1, old.requests + number)
        seen += number > 0
    answered = sum(count.requests for count in found.values())
    return found | {"tail": StratumCount(queries - seen, requests - answered)}


def movements(assigned: Iterable[Assigned], previous: StrataSnapshot) -> dict[str, int]:
    """How many queries left or entered each of head and torso since the previous snapshot."""
    stayed: dict[Stratum, int] = {"head": 0, "torso": 0}
    entered: dict[Stratum, int] = {"head": 0, "torso": 0}
    for key, stratum, _ in assigned:
        (stayed if previous.stratum_of_key(key) == stratum else entered)[stratum] += 1
    left = {name: size - stayed[name] for name, size in previous.sizes().items()}
    return {f"{name}{what}": n[name] for name in stayed for what, n in (("Entered", entered), ("Left", left))}


def _description(
    recipe: Recipe, counts: Mapping[Stratum, StratumCount], moved: Mapping[str, int], log: Mapping[str, Any]
) -> dict[str, Any]:
    window = recipe.traffic.rows.window
    return {
        "formatVersion": FORMAT_VERSION,
        "normaliser": NORMALISER_VERSION,
        "boundaries": {
            "rule": recipe.boundaries.rule.value, "head": recipe.boundaries.head, "torso": recipe.boundaries.torso,
            "hysteresis": recipe.hysteresis,
        },
        "window": {"days": window.days, "halfLife": str(window.half_life) if window.half_life else None}
        if window else None,
        "pins": len(recipe.pins),
        "strata": {name: {"queries": c.queries, "requests": c.requests} for name, c in counts.items()},
        "moved": dict(moved),
        "log": dict(log),
    }  # fmt: skip
