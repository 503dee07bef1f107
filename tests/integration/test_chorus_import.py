"""Real judgements, joined with a real catalogue. `LORE_CHORUS_DIR` names the data; they are not part of the project."""

import os
import statistics
from pathlib import Path

import pytest

from lore_core.cli import main
from lore_core.records import Pair, read_items, read_pairs, read_splits
from lore_core.records.leakage import overlaps

OPTIONS = [
    *("--map", "groundtruth=label", "--ignore", "rater_grades"),
    *("--item-map", "cpv_sku=attributes", "--item-map", "shop_name=brand", "--item-attribute", "short_description"),
    *("--item-ignore", "price_cents", "--item-ignore", "image_url", "--item-ignore", "date_released"),
]


@pytest.fixture(scope="module")
def chorus() -> Path:
    folder = os.environ.get("LORE_CHORUS_DIR")
    if folder is None:
        if os.environ.get("CI") == "true":
            pytest.fail("LORE_CHORUS_DIR is not set; under CI=true the Chorus layer must run")
        pytest.skip("LORE_CHORUS_DIR is not set: import of the Chorus judgements not tested")
    return Path(folder)


@pytest.fixture(scope="module")
def imported(chorus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chorus")
    files = ["--pairs", str(chorus / "train.jsonl"), "--holdout", str(chorus / "dev.jsonl")]
    items = ["--items", str(chorus / "items.jsonl.gz")]
    assert main(["data", "import", *files, *items, *OPTIONS, "--out", str(out)]) == 0
    return out


def pairs_of(imported: Path) -> dict[str, list[Pair]]:
    gate = list(read_pairs(imported / "benchmark" / "general.jsonl"))
    return read_splits(imported / "pairs") | {"gate": gate}


def test_every_judgement_arrives_once_with_its_query_whole(imported: Path) -> None:
    splits = pairs_of(imported)
    assert sum(len(rows) for name, rows in splits.items() if name != "gate") == 1_975
    assert len(splits["gate"]) == 558
    queries = {name: {pair.query for pair in rows} for name, rows in splits.items()}
    assert len(queries["gate"]) == 21
    assert sum(len(found) for name, found in queries.items() if name != "gate") == 74
    assert all(overlap.clean for overlap in overlaps(splits))


def test_attributes_are_joined_and_never_cut(imported: Path) -> None:
    lengths = [
        sum(len(name) + len(value) for name, value in pair.cpv_sku.items())
        for rows in pairs_of(imported).values()
        for pair in rows
    ]
    assert statistics.quantiles(lengths, n=20)[-1] > 5_000
    items = {item.item_id: item for item in read_items(imported / "items" / "items.jsonl")}
    assert len(items) == 19_406
    for rows in pairs_of(imported).values():
        for pair in rows:
            assert pair.cpv_sku == items[pair.item_id].cpv_sku
            assert pair.title == items[pair.item_id].title


def test_a_broken_line_in_real_data_is_named(chorus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (chorus / "train.jsonl").read_bytes().splitlines(keepends=True)
    broken = tmp_path / "train.jsonl"
    broken.write_bytes(b"".join([*lines[:1_000], lines[1_000][:30] + b"\n", *lines[1_001:]]))
    items = ["--items", str(chorus / "items.jsonl.gz")]
    assert main(["data", "import", "--pairs", str(broken), *items, *OPTIONS, "--out", str(tmp_path / "out")]) == 1
    assert f"{broken}:1001: not valid JSON" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
