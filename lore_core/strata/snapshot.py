"""`strata.bin`, format version 1: an immutable, memory-mapped table of keyed query hashes (docs/formats/strata.md)."""

import json
import mmap
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import numpy as np

from lore_core.strata.normaliser import NORMALISER_VERSION, query_hash, query_key

Stratum = Literal["head", "torso", "tail"]

BIN_NAME: Final = "strata.bin"
JSON_NAME: Final = "strata.json"
MAGIC: Final = b"LORESTRA"
FORMAT_VERSION: Final = 1
KEY_BYTES: Final = 16
_HEADER: Final = struct.Struct("<8sIIQ16s24x")
_CODES: Final[dict[Stratum, int]] = {"head": 0, "torso": 1}
_STRATA: Final[tuple[Stratum, ...]] = ("head", "torso")


class SnapshotError(ValueError):
    """A file that is not a whole snapshot of a known version; the message names it."""

    reason = "BadStrataSnapshot"


class StrataSnapshot:
    """Which stratum a query belongs to. Queries the table does not have are tail. Opened once, read by many."""

    def __init__(self, data: mmap.mmap | bytes, source: str) -> None:
        """Raises SnapshotError; use `open`."""
        if len(data) < _HEADER.size:
            raise SnapshotError(f"{source}: {len(data)} bytes are no snapshot; fetch it again")
        magic, version, normaliser, count, secret = _HEADER.unpack_from(data)
        if magic != MAGIC or version != FORMAT_VERSION:
            raise SnapshotError(f"{source}: not a strata snapshot of format {FORMAT_VERSION}; build it again")
        if normaliser != NORMALISER_VERSION:
            raise SnapshotError(
                f"{source}: made with normaliser {normaliser}, this is {NORMALISER_VERSION}; build the snapshot again"
            )
        if len(data) != _HEADER.size + 9 * count:
            raise SnapshotError(f"{source}: {len(data)} bytes, {count} entries need {_HEADER.size + 9 * count}")
        self._data, self._secret = data, bytes(secret)
        view = memoryview(data)
        self._hashes = view[_HEADER.size : _HEADER.size + 8 * count].cast("Q")
        self._codes = view[_HEADER.size + 8 * count :]

    @classmethod
    def open(cls, folder: Path) -> "StrataSnapshot":
        """Map the snapshot of an artifact's folder. Raises SnapshotError, or FileNotFoundError."""
        path = folder / BIN_NAME
        with path.open("rb") as stream:
            if path.stat().st_size == 0:
                raise SnapshotError(f"{path}: empty; fetch it again")
            return cls(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), str(path))

    def __len__(self) -> int:
        """Entries, head and torso together."""
        return len(self._hashes)

    @property
    def secret(self) -> bytes:
        """Key of the hashes."""
        return self._secret

    def sizes(self) -> dict[Stratum, int]:
        """Entries per stratum."""
        found = bytes(self._codes)
        return {stratum: found.count(code) for stratum, code in _CODES.items()}

    def stratum(self, query: str) -> Stratum:
        """Stratum of a raw query."""
        return self.stratum_of_key(query_key(query))

    def stratum_of_key(self, key: str) -> Stratum:
        """Stratum of a query key, which spares normalising twice."""
        wanted = query_hash(key, self._secret)
        at = bisect_left(self._hashes, wanted)
        if at < len(self._hashes) and self._hashes[at] == wanted:
            return _STRATA[self._codes[at]]
        return "tail"


def traffic_shares(folder: Path) -> dict[Stratum, float] | None:
    """Each stratum's share of the log's requests, as `strata.json` has it; None where it does not say."""
    try:
        counts = json.loads((folder / JSON_NAME).read_bytes())["strata"]
        requests: dict[Stratum, float] = {stratum: float(counts[stratum]["requests"]) for stratum in (*_CODES, "tail")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    total = sum(requests.values())
    return {stratum: number / total for stratum, number in requests.items()} if total > 0 else None


def snapshot_bytes(entries: Iterable[tuple[str, Stratum]], secret: bytes) -> bytes:
    """The file for query keys and their strata; tail entries need not be given and are left out.

    Keys come in falling order of traffic: of two keys with one hash the first decides. Equal input gives equal bytes.
    """
    if len(secret) != KEY_BYTES:
        raise ValueError(f"the hash key must be {KEY_BYTES} bytes, is {len(secret)}")
    hashes, codes = array("Q"), bytearray()
    for key, stratum in entries:
        if stratum in _CODES:
            hashes.append(query_hash(key, secret))
            codes.append(_CODES[stratum])
    table, first = np.unique(np.frombuffer(hashes, dtype=np.uint64), return_index=True)
    header = _HEADER.pack(MAGIC, FORMAT_VERSION, NORMALISER_VERSION, len(table), secret)
    return header + table.astype("<u8").tobytes() + np.frombuffer(codes, dtype=np.uint8)[first].tobytes()
