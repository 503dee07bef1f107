"""A snapshot answers what was put into it, and half a file is never taken for a whole one."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.strata import SnapshotError, StrataSnapshot, query_key
from lore_core.strata.snapshot import BIN_NAME, Stratum, snapshot_bytes

VECTORS = json.loads((Path(__file__).parent / "snapshot-v1.json").read_text(encoding="utf-8"))
SECRET = b"0123456789abcdef"
STRATA = st.sampled_from(["head", "torso", "tail"])


def opened(folder: Path, data: bytes) -> StrataSnapshot:
    (folder / BIN_NAME).write_bytes(data)
    return StrataSnapshot.open(folder)


@given(st.dictionaries(st.text(min_size=1, max_size=12).map(query_key), STRATA, max_size=40))
def test_every_query_gets_the_stratum_it_was_given(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, Stratum]
) -> None:
    snapshot = opened(tmp_path_factory.mktemp("strata"), snapshot_bytes(wanted.items(), SECRET))
    assert {key: snapshot.stratum_of_key(key) for key in wanted} == wanted


def test_an_unknown_query_is_tail(tmp_path: Path) -> None:
    assert opened(tmp_path, snapshot_bytes([("a", "head")], SECRET)).stratum("never seen") == "tail"


def test_spellings_of_one_query_share_its_stratum(tmp_path: Path) -> None:
    snapshot = opened(tmp_path, snapshot_bytes([("iphone 15", "head")], SECRET))
    assert {snapshot.stratum(text) for text in ("iPhone15", "ｉｐｈｏｎｅ 15", " IPHONE  15")} == {"head"}


def test_the_published_layout_holds(tmp_path: Path) -> None:
    data = snapshot_bytes([("b", "torso")], SECRET)
    assert struct.unpack_from("<8sIIQ16s", data) == (b"LORESTRA", 1, 1, 1, SECRET)
    assert (len(data), data[-1]) == (64 + 8 + 1, 1)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{len(vector['entries'])} entries")
def test_every_conformance_vector_holds(vector: dict[str, object]) -> None:
    entries = [(key, stratum) for key, stratum in vector["entries"]]  # type: ignore[attr-defined]
    assert snapshot_bytes(entries, bytes.fromhex(str(vector["secret"]))).hex() == vector["bytes"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "entries need"),
        (lambda data: data + b"\0", "entries need"),
        (lambda data: data[:40], "no snapshot"),
        (lambda data: b"", "empty"),
        (lambda data: b"X" + data[1:], "not a strata snapshot"),
        (lambda data: data[:12] + struct.pack("<I", 2) + data[16:], "normaliser 2"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path: Path, damage, message: str) -> None:
    data = snapshot_bytes([("a", "head"), ("b", "torso")], SECRET)
    with pytest.raises(SnapshotError, match=rf"strata\.bin.*{message}"):
        opened(tmp_path, damage(data))
