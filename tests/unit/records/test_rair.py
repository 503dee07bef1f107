"""A copy of the released RAIR set becomes a benchmark, whatever its size."""

import base64
import json
import tracemalloc
from itertools import islice
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lore_core.cli import main
from lore_core.records import read_splits
from lore_core.records.rair import CONFIGS, TOTALS, files, read_config

PICTURE = base64.b64encode(b"\x89PNG" + bytes(300)).decode()


def record(number: int, **changes) -> dict:
    """A record with the released fields."""
    found = {
        "query": f"dog harness {number // 4}",
        "title": f"harness {number}",
        "item_id": number,
        "shop_name": "pets",
        "cpv_sku": json.dumps({"brand": "surepet"}),
        "vqa_result": "a red harness",
        "rule_list": "1. main and accessory: L4",
        "image_base64": PICTURE,
        "subset": "whatever",
        "groundtruth": f"L{number % 4 + 1}",
    }
    return found | changes


def copy(root: Path, rows=12, **changes) -> Path:
    """Three configs in the layout of the released set: two Parquet files each."""
    for config in CONFIGS:
        folder = root / "rair" / config
        folder.mkdir(parents=True)
        for part in range(2):
            table = pyarrow.Table.from_pylist(
                [record(number, **changes) for number in range(part * rows, (part + 1) * rows)]
            )
            pyarrow.parquet.write_table(table, folder / f"train-0000{part}-of-00002.parquet")
    return root / "rair"


def converted(folder: Path, root: Path, *more: str) -> int:
    return main(["data", "rair", str(folder), "--out", str(root / "benchmark"), *more])


def test_three_configs_become_three_subsets(tmp_path, capsys):
    assert converted(copy(tmp_path), tmp_path) == 0
    assert "72 pairs (other total)" in capsys.readouterr().out
    pairs = read_splits(tmp_path / "benchmark", CONFIGS.values())
    assert {name: len(found) for name, found in pairs.items()} == {"general": 24, "hard": 24, "visual": 24}
    first = min(pairs["hard"], key=lambda pair: int(pair.item_id))
    assert (first.subset, first.groundtruth, first.cpv_sku, first.image_base64) == (
        "hard",
        "L1",
        {"brand": "surepet"},
        "",
    )


def test_pictures_are_kept_where_asked_for(tmp_path):
    assert converted(copy(tmp_path), tmp_path, "--pictures") == 0
    assert next(iter(read_splits(tmp_path / "benchmark", ["visual"])["visual"])).image_base64 == PICTURE


@pytest.mark.parametrize(("totals", "named"), [({72: "paper"}, "paper"), ({72: "released"}, "released"), ({}, "other")])
def test_the_two_published_totals_are_told_apart(tmp_path, monkeypatch, totals, named):
    """The manifest says which total a copy has; here the copy's 72 pairs stand for one of them."""
    assert TOTALS == {54_539: "paper", 48_949: "released"}
    monkeypatch.setattr("lore_core.records.rair.TOTALS", totals)
    assert converted(copy(tmp_path), tmp_path) == 0
    assert json.loads((tmp_path / "benchmark/lore-manifest.json").read_text())["metadata"]["rairTotal"] == named


def test_a_missing_config_is_named(tmp_path, capsys):
    folder = copy(tmp_path)
    for path in (folder / "Hard_Subset").iterdir():
        path.unlink()
    assert converted(folder, tmp_path) == 1
    assert "no folder Hard_Subset" in capsys.readouterr().err
    assert not (tmp_path / "benchmark").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"groundtruth": "L5"}, "train-00000-of-00002.parquet:1: groundtruth: "),
        ({"query": ""}, "train-00000-of-00002.parquet:1: query: "),
        ({"mood": "x"}, "train-00000-of-00002.parquet:1: mood: not a field of a RAIR record"),
        ({"item_id": 1, "query": "same"}, "occurs 24 times; keep one"),
    ],
)
def test_a_bad_record_is_named_and_nothing_is_published(tmp_path, capsys, changes, says):
    assert converted(copy(tmp_path, **changes), tmp_path) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "benchmark").exists()


def big_config(folder: Path, kind: str) -> Path:
    """128 records of a megabyte each."""
    picture = base64.b64encode(bytes(750_000)).decode()
    rows = (record(number, image_base64=picture) for number in range(128))
    if kind == "jsonl":
        with (folder / "train.jsonl").open("w") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
        return folder / "train.jsonl"
    schema = pyarrow.Table.from_pylist([record(0)]).schema
    with pyarrow.parquet.ParquetWriter(folder / "train.parquet", schema, compression="none") as writer:
        while some := list(islice(rows, 16)):
            writer.write_table(pyarrow.Table.from_pylist(some, schema))
    return folder / "train.parquet"


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize(("pictures", "mebibytes"), [(True, 50), (False, 10)])
def test_pictures_never_stand_in_memory_together(tmp_path, kind, pictures, mebibytes):
    """128 MiB are read within 50 MiB of Python's memory and as much of Arrow's; left out, pictures cost next to nothing."""
    path, arrow = big_config(tmp_path, kind), pyarrow.default_memory_pool()
    before = arrow.bytes_allocated()
    tracemalloc.start()
    held = [arrow.bytes_allocated() - before for _ in read_config([path], "general", pictures=pictures)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(held) == 128
    assert max(peak, *held) < mebibytes << 20


def test_files_are_found_wherever_the_configs_lie(tmp_path):
    found = files(copy(tmp_path).parent)
    assert [len(paths) for paths in found.values()] == [2, 2, 2]
