"""From a log of served requests to GoodRate, with people and a judge over a real endpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
from unit.evaluation.chat_server import by_title, chat_server, says

from lore_core.cli import main
from lore_core.goodrate.judge import RUBRIC
from lore_core.goodrate.rows import Drawn, read_drawn

ITEMS = {"good": "shirt l4", "near": "shirt l3", "bad": "shirt l1"}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def drawn(tmp_path: Path) -> list[Drawn]:
    """Thirty of sixty requests; two of three items are good on the even ones, one on the odd."""
    log = [
        {"request": f"r{row}", "date": "2026-11-01", "stratum": "tail", "query": f"shirt {row}",
         "items": ["good", "bad", "near" if row % 2 else "bad2"]}
        for row in range(60)
    ]  # fmt: skip
    write(tmp_path / "log.jsonl", log)
    titles = {**ITEMS, "bad2": "shirt l2"}
    write(tmp_path / "items.jsonl", [{"item_id": name, "title": title} for name, title in titles.items()])
    sample = str(tmp_path / "sample.jsonl")
    assert (
        main(["goodrate", "sample", str(tmp_path / "log.jsonl"), "--out", sample, "--size", "30", "--people", "10"])
        == 0
    )
    return read_drawn(tmp_path / "sample.jsonl")


def rated(root: Path, drawn: list[Drawn], raters: tuple[str, ...] = ("ann", "bob")) -> Path:
    labels = {"good": "L4", "near": "L3", "bad": "L1", "bad2": "L2"}
    rows = [
        {"request": row.request, "item": item, "rater": rater, "label": labels[item], "guideline": "guide-7"}
        for row in drawn
        if row.people
        for item in row.items
        for rater in raters
    ]
    return write(root / "people.jsonl", rows)


def judged(root: Path, url: str, **more: str) -> int:
    options = [part for name, value in more.items() for part in (f"--{name}", value)]
    return main([
        "goodrate", "judge", str(root / "sample.jsonl"), "--items", str(root / "items.jsonl"), "--url", url, "--model", "judge-1",
        "--requests", str(root / "requests"), "--requests-per-minute", "1000000", "--out", str(root / "judge.jsonl"), *options,
    ])  # fmt: skip


def estimated(root: Path, *options: str) -> list[str]:
    return ["goodrate", "estimate", str(root / "sample.jsonl"), "--people", str(root / "people.jsonl"), *options]


def test_people_alone_give_rates_with_intervals_and_their_agreement(tmp_path, drawn, capsys):
    rated(tmp_path, drawn)
    capsys.readouterr()
    assert main(estimated(tmp_path, "--output=json")) == 0
    found = json.loads(capsys.readouterr().out)
    item = next(row for row in found["rates"] if (row["kind"], row["by"]) == ("item", "all"))
    query = next(row for row in found["rates"] if (row["kind"], row["by"]) == ("query", "all"))
    share = sum("near" in row.items for row in drawn if row.people) / 10
    assert (item["value"], query["value"]) == (pytest.approx((1 + share) / 3, abs=1e-6), pytest.approx(share))
    assert item["low"] < item["value"] < item["high"]
    assert (item["requests"], item["rated"]) == (60, 10)
    assert found["agreement"] == {"itemsWithSeveralRaters": 30, "alphaOrdinal": 1.0, "alphaGood": 1.0}
    assert (found["guidelines"], found["raters"]) == (["guide-7"], 2)


def test_the_judge_rates_every_item_once_under_a_versioned_rubric(tmp_path, drawn):
    with chat_server() as server:
        assert judged(tmp_path, server.url) == 0
        assert judged(tmp_path, server.url) == 0
        assert set(server.paid.values()) == {1}
    ratings = [json.loads(line) for line in (tmp_path / "judge.jsonl").read_text().splitlines()]
    assert len(ratings) == 90
    assert {(one["rater"], one["guideline"]) for one in ratings} == {("judge:judge-1", RUBRIC)}


def test_people_correct_a_judge_that_likes_everything_and_their_disagreement_is_shown(tmp_path, drawn, capsys):
    rated(tmp_path, drawn)
    with chat_server(lambda item: says("[L4]")) as server:
        assert judged(tmp_path, server.url) == 0
    capsys.readouterr()
    assert main(estimated(tmp_path, "--judge", str(tmp_path / "judge.jsonl"), "--output=json")) == 0
    found = json.loads(capsys.readouterr().out)
    share = sum("near" in row.items for row in drawn if row.people) / 10
    item = next(row for row in found["rates"] if (row["kind"], row["by"]) == ("item", "all"))
    assert item["value"] == pytest.approx((1 + share) / 3, abs=1e-6)
    assert found["judge"]["itemsBothRated"] == 30
    assert found["judge"]["agreeOnGood"] == pytest.approx((1 + share) / 3, abs=1e-6)
    assert found["judge"]["kappaOnGood"] == 0.0


def test_the_table_names_what_was_measured(tmp_path, drawn, capsys):
    rated(tmp_path, drawn)
    with chat_server(by_title) as server:
        judged(tmp_path, server.url)
    capsys.readouterr()
    assert main(estimated(tmp_path, "--judge", str(tmp_path / "judge.jsonl"))) == 0
    text = capsys.readouterr().out
    assert "2026-11-01 tail" in text
    assert "kappaOnGood 1.0" in text
    assert f"rubrics {RUBRIC}" in text


def test_a_judge_that_is_another_model_rates_nothing(tmp_path, drawn, capsys):
    with chat_server(lambda item: says("[L4]", model="cheaper-1")) as server:
        assert judged(tmp_path, server.url) == 1
    assert "answered as model 'cheaper-1'" in capsys.readouterr().err
    assert not (tmp_path / "judge.jsonl").exists()


def test_an_item_without_text_and_a_bad_line_are_named(tmp_path, drawn, capsys):
    write(tmp_path / "items.jsonl", [{"item_id": "good", "title": "shirt"}])
    assert judged(tmp_path, "http://127.0.0.1:1/v1") == 1
    assert "was shown and has no text" in capsys.readouterr().err
    write(
        tmp_path / "log.jsonl", [{"request": "r", "date": "2026-11-01", "stratum": "tail", "query": "q", "items": []}]
    )
    assert main(["goodrate", "sample", str(tmp_path / "log.jsonl"), "--out", str(tmp_path / "s")]) == 1
    assert "log.jsonl:1: items" in capsys.readouterr().err
