"""Candidates are what a head query is likely to be shown with: often shown, lately shown, new, or pinned."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lore_core.artifacts import ArtifactRef, publish, verify
from lore_core.cli import main
from lore_core.headcache.candidates import Candidate, read_candidates
from lore_core.headcache.impressions import CandidateRecipe, Chosen, write_candidates
from lore_core.records import RecordError
from lore_core.strata import StrataSnapshot
from lore_core.strata.log import LogError
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.snapshot import snapshot_bytes

TODAY = date(2026, 11, 20)
STRATA = StrataSnapshot(snapshot_bytes([("lamp", "head"), ("red shirt", "head"), ("shoe", "torso")], b"k" * 16), "test")


def shown(query: str, item: str, count: int = 1, ago: int = 0, **more: str) -> dict[str, Any]:
    return {"query": query, "item_id": item, "count": count, "date": str(TODAY - timedelta(days=ago)), **more}


def chosen(folder: Path, *rows: dict[str, Any], **recipe: Any) -> tuple[dict[tuple[str, str], tuple[str, ...]], Chosen]:
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = write_candidates([folder / "log.jsonl"], STRATA, CandidateRecipe(**recipe), folder / "out", folder / "work")
    return {(line.query, line.market): line.item_ids for line in read_candidates(folder / "out")}, found


def test_the_most_shown_items_of_head_queries_are_chosen(tmp_path: Path) -> None:
    rows = [
        shown("lamp", "a", 5),
        shown("lamp", "b", 9),
        shown("lamp", "c", 1),
        shown("shoe", "z", 99),
        shown("odd", "y", 9),
    ]
    lines, found = chosen(tmp_path, *rows, top=2)
    assert lines == {("lamp", ""): ("b", "a")}
    assert (found.queries, found.pairs, found.covered) == (1, 2, 14 / 15)


def test_spellings_are_one_query_under_the_one_asked_most(tmp_path: Path) -> None:
    lines, _ = chosen(tmp_path, shown("Red  Shirt", "a", 2), shown("red shirt", "b", 5), shown("RED SHIRT", "a", 4))
    assert lines == {("red shirt", ""): ("a", "b")}


def test_markets_are_apart(tmp_path: Path) -> None:
    lines, _ = chosen(tmp_path, shown("lamp", "a", market="north"), shown("lamp", "b", market="south"))
    assert lines == {("lamp", "north"): ("a",), ("lamp", "south"): ("b",)}


def test_older_impressions_weigh_less(tmp_path: Path) -> None:
    rows = [shown("lamp", "old", 10, ago=14), shown("lamp", "new", 6)]
    decayed = RowRules(Window(days=28, half_life=7.0))
    assert chosen(tmp_path, *rows, top=1, rows=decayed)[0] == {("lamp", ""): ("new",)}


def test_a_new_item_counts_by_its_rate(tmp_path: Path) -> None:
    steady = [shown("lamp", "steady", 3, ago=ago) for ago in range(10)]
    rows = [
        *steady,
        shown("lamp", "fresh", 6, ago=0),
        shown("lamp", "seen before", 6, ago=0),
        shown("shoe", "seen before", ago=9),
    ]
    assert chosen(tmp_path, *rows, top=1)[0] == {("lamp", ""): ("steady",)}
    assert chosen(tmp_path, *rows, top=2, new_days=1)[0] == {("lamp", ""): ("fresh", "steady")}


def test_pins_come_first_and_need_no_impressions(tmp_path: Path) -> None:
    pins = (Candidate(query="Lamp", item_ids=("p", "b")), Candidate(query="brand new", item_ids=("q",)))
    lines, _ = chosen(tmp_path, shown("lamp", "a", 5), shown("lamp", "b", 9), pins=pins, top=3)
    assert lines == {("lamp", ""): ("p", "b", "a"), ("brand new", ""): ("q",)}


def test_items_the_catalogue_lacks_are_left_out_and_counted(tmp_path: Path) -> None:
    lines, found = chosen(tmp_path, shown("lamp", "a"), shown("lamp", "gone", 9), known=frozenset({"a"}))
    assert (lines, found.gone) == ({("lamp", ""): ("a",)}, 1)


def test_an_id_no_candidates_line_can_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"query 'lamp': item_ids\.0: .*' a'"):
        chosen(tmp_path, shown("lamp", " a"))


def test_a_log_without_impressions_of_the_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no item was shown for a head query"):
        chosen(tmp_path, shown("odd", "a"))


def test_a_row_without_an_item_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"log\.jsonl: line 1: item_id: must be text"):
        chosen(tmp_path, {"query": "lamp"})


def test_the_command_publishes_what_the_head_job_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, name, data in (
        ("strata", "strata.bin", snapshot_bytes([("lamp", "head")], b"k" * 16)),
        ("items", "items.jsonl", b'{"item_id": "a", "title": "lamp"}\n'),
    ):
        (tmp_path / f"made-{kind}").mkdir()
        (tmp_path / f"made-{kind}" / name).write_bytes(data)
        publish(tmp_path / f"made-{kind}", ArtifactRef(uri=f"file://{tmp_path}/{kind}"), kind)
    (tmp_path / "log.csv").write_text("term,item_id\nlamp,a\nlamp,b\n")
    words = ["--impressions", f"{tmp_path}/log.csv", "--column", "query=term", "--strata", f"file://{tmp_path}/strata"]
    words += ["--items", f"file://{tmp_path}/items", "--output", f"file://{tmp_path}/candidates"]
    assert main(["head", "candidates", *words]) == 0
    digest = capsys.readouterr().out.split()[-1]
    verify(ArtifactRef(uri=f"file://{tmp_path}/candidates", digest=digest), tmp_path / "fetched")
    assert [line.item_ids for line in read_candidates(tmp_path / "fetched")] == [("a",)]


def test_a_broken_pin_is_named(tmp_path: Path) -> None:
    from lore_core.headcache.impressions import read_candidate_pins

    (tmp_path / "pins.jsonl").write_text('{"query": "lamp", "item_ids": []}\n')
    with pytest.raises(RecordError, match=r"pins\.jsonl:1: item_ids"):
        read_candidate_pins(tmp_path / "pins.jsonl")
