import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from lore_core.artifacts import ArtifactRef, verify
from lore_core.cli import main
from lore_core.records import Label, read_items, read_pairs, read_splits

ROWS = [{"search_term": f"query {n // 2}", "sku": str(n), "grade": n % 4, "rater": "a"} for n in range(40)]
ITEMS = [{"sku": str(n), "name": f"item {n}", "specs": {"colour": "red", "usb": True}, "maker": "m"} for n in range(40)]
OPTIONS = [
    *("--map", "query=search_term", "--map", "item_id=sku", "--map", "groundtruth=grade", "--ignore", "rater"),
    *("--label", "0=L1", "--label", "1=L2", "--label", "2=L3", "--label", "3=L4"),
    *(
        "--item-map",
        "item_id=sku",
        "--item-map",
        "title=name",
        "--item-map",
        "cpv_sku=specs",
        "--item-attribute",
        "maker",
    ),
]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    lines = [",".join(rows[0]), *(",".join(str(cell) for cell in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def imported(tmp_path: Path, pairs: Path, *more: str) -> int:
    items = jsonl(tmp_path / "items.jsonl", ITEMS)
    return main(
        [
            "data",
            "import",
            "--pairs",
            str(pairs),
            "--items",
            str(items),
            *OPTIONS,
            *more,
            "--out",
            str(tmp_path / "out"),
        ]
    )


@pytest.mark.parametrize(("write", "name"), [(jsonl, "p.jsonl"), (csv, "p.csv"), (parquet, "p.parquet")])
def test_columns_and_labels_are_mapped_from_each_format(tmp_path: Path, write: Any, name: str) -> None:
    assert imported(tmp_path, write(tmp_path / name, ROWS)) == 0
    splits = read_splits(tmp_path / "out" / "pairs")
    pairs = {pair.item_id: pair for rows in splits.values() for pair in rows}
    assert len(pairs) == len(ROWS)
    assert all(splits.values())
    assert pairs["3"].groundtruth is Label.L4
    assert pairs["3"].query == "query 1"
    assert pairs["3"].title == "item 3"
    assert pairs["3"].cpv_sku == {"maker": "m", "colour": "red", "usb": "yes"}


def test_a_tag_is_kept_to_slice_scores_by(tmp_path: Path) -> None:
    rows = [row | {"intent": "jargon" if row["grade"] else "", "hour": 7} for row in ROWS]
    assert imported(tmp_path, jsonl(tmp_path / "p.jsonl", rows), "--tag", "intent", "--tag", "hour") == 0
    pairs = {pair.item_id: pair for found in read_splits(tmp_path / "out" / "pairs").values() for pair in found}
    assert (pairs["0"].tags, pairs["1"].tags) == ({"hour": "7"}, {"intent": "jargon", "hour": "7"})


def test_a_tag_cannot_take_the_name_of_a_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row | {"cell": "plain"} for row in ROWS]
    assert imported(tmp_path, jsonl(tmp_path / "p.jsonl", rows), "--tag", "cell") == 1
    assert "p.jsonl:1: tags.cell" in capsys.readouterr().err


def test_what_is_printed_are_digests_that_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shares = "train=6,tune=1,calibration=1,gate=2"
    assert imported(tmp_path, jsonl(tmp_path / "p.jsonl", ROWS), "--split", shares) == 0
    printed = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = {
        name: verify(ArtifactRef(uri=uri, digest=digest), tmp_path / "back" / name) for name, uri, digest in printed
    }
    assert {name: manifest.kind for name, manifest in found.items()} == {
        "pairs": "pairs",
        "benchmark": "benchmark",
        "items": "items",
    }
    assert len(list(read_pairs(tmp_path / "back" / "benchmark" / "general.jsonl"))) == 8
    assert len(list(read_items(tmp_path / "back" / "items" / "items.jsonl"))) == 40


@pytest.mark.parametrize(
    ("change", "line", "field", "says"),
    [
        ({"grade": 7}, 3, "groundtruth", "--label 7=L1"),
        ({"extra": 1}, 3, "extra", "--ignore extra"),
        ({"sku": "99"}, 3, "item_id", "no item '99'"),
        ({"sku": "0", "search_term": "query 0"}, 3, "id", "second time"),
        ({"search_term": None}, 3, "query", "missing"),
    ],
)
def test_a_bad_row_publishes_nothing_and_names_line_field_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], line: int, field: str, says: str
) -> None:
    rows = [*ROWS[:2], ROWS[2] | change, *ROWS[3:]]
    path = jsonl(tmp_path / "p.jsonl", rows)
    assert imported(tmp_path, path) == 1
    error = capsys.readouterr().err
    assert f"{path}:{line}: {field}: " in error
    assert says in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("search_term,sku,grade,rater\na,1,0\n", 2, "3 cells"),
        ('search_term,sku,grade,rater\n"a,1,0,x\n', 2, "not valid CSV"),
        ("sku,sku,grade,rater\n", 1, "occurs twice"),
        ("", 1, "no header"),
        ("term,sku,grade,rater\na,1,0,x\n", 2, "no field is mapped"),
    ],
)
def test_broken_csv_names_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, line: int, says: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    assert imported(tmp_path, path) == 1
    error = capsys.readouterr().err
    assert f"{path}:{line}:" in error
    assert says in error


@pytest.mark.parametrize("name", ["p.jsonl.gz", "p.parquet", "p.txt", "absent.jsonl"])
def test_an_unreadable_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = tmp_path / name
    if not name.startswith("absent"):
        path.write_bytes(b"neither zipped nor a table")
    assert imported(tmp_path, path) == 1
    assert str(path) in capsys.readouterr().err


def test_a_holdout_that_shares_a_query_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = jsonl(tmp_path / "held.jsonl", [{"search_term": "Query 3!", "sku": "30", "grade": 0, "rater": "b"}])
    assert imported(tmp_path, jsonl(tmp_path / "p.jsonl", ROWS), "--holdout", str(held)) == 1
    assert "share 1 queries" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [("--map", "query"), ("--label", "0=L9"), ("--split", "test=1"), ("--split", "train=x"), ("--split", "train=0")],
)
def test_a_bad_option_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]) -> None:
    path = jsonl(tmp_path / "p.jsonl", ROWS)
    assert main(["data", "import", "--pairs", str(path), *option, "--out", str(tmp_path / "out")]) == 1
    assert option[0] in capsys.readouterr().err
