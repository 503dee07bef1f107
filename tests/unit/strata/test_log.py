"""Rows that cannot be used are counted and named with file and line, and never change what the others say."""

import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from lore_core.strata import query_key
from lore_core.strata.build import Recipe, build
from lore_core.strata.log import LogError, LogShape, log_files
from lore_core.strata.log_problems import named_problems
from lore_core.strata.on_duckdb import DuckDb
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.traffic import TrafficRules, count_traffic

BROKEN = [
    ("{", "not valid JSON"),
    ("[1]", "a JSON list, not an object"),
    ('{"count": 1}', "query: must be text"),
    ('{"query": null}', "query: must be text"),
    ('{"query": ""}', "query: must be text"),
    ('{"query": 15}', "query: must be text"),
    ('{"query": ["a"]}', "query: must be text"),
    ('{"query": "a", "count": 0}', "count: must be"),
    ('{"query": "a", "count": 1.5}', "count: must be"),
    ('{"query": "a", "count": "many"}', "count: must be"),
    ('{"query": "a", "count": true}', "count: must be"),
    ('{"query": "a", "count": 1e300}', "count: must be"),
    ('{"query": "\\ud800"}', "query: must be at most"),
    (json.dumps({"query": "q" * 2000}), "query: must be at most"),
]


def tried(path: Path, rules: TrafficRules | None = None) -> Any:
    number = len(list(path.parent.glob("out-*")))
    recipe = Recipe(traffic=rules or TrafficRules())
    return build([path], recipe, path.parent / f"out-{number}", path.parent / f"work-{number}")


@pytest.mark.parametrize(("line", "message"), BROKEN)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"query": "fine"}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(LogError, match=rf"log\.jsonl: line 3: .*{message}.*1 of 2 rows are broken"):
        tried(path)


def test_bytes_that_are_no_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"query": "fine"}\n{"query": "\xff"}\n')
    with pytest.raises(LogError, match="line 2: byte 12 is not UTF-8"):
        tried(path)


def test_a_few_broken_rows_are_counted_and_named_and_change_nothing_else(tmp_path: Path) -> None:
    fine = "".join(f'{{"query": "q{n % 7}"}}\n' for n in range(5_000))
    (tmp_path / "fine.jsonl").write_text(fine)
    (tmp_path / "some.jsonl").write_text('{"query": 1}\n' + fine + '{"quer\n{"query": "a", "count": -1}\n')
    whole, some = tried(tmp_path / "fine.jsonl"), tried(tmp_path / "some.jsonl")
    assert some.counts == whole.counts
    assert (some.counted.rows, some.counted.broken) == (5_003, 3)
    assert [problem.split(": ")[1] for problem in some.counted.problems] == ["line 1", "line 5002", "line 5003"]


def test_broken_csv_rows_are_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("query,count\n" + "lamp,1\n" * 3_000 + "a,b,c\nphone,x\n")
    found = tried(path)
    assert (found.counted.rows, found.counted.broken) == (3_002, 2)
    assert "line 3002: 3 cells, the header has 2 columns" in found.counted.problems[0]


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(LogError, match=r"log\.parquet.*not a readable Parquet file"):
        tried(tmp_path / "log.parquet")


@pytest.mark.parametrize("day", ["", "yesterday", "2026-13-01"])
def test_a_row_without_a_day_is_broken_where_days_count(tmp_path: Path, day: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(
        json.dumps({"query": "a", "date": "2026-11-01T10:00:00Z"}) + "\n" + json.dumps({"query": "a", "date": day})
    )
    assert tried(path).counted.broken == 0
    with pytest.raises(LogError, match="line 2: date: must be a day"):
        tried(path, TrafficRules(RowRules(Window(days=3))))


def test_a_log_without_a_usable_query_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"query": " "}\n')
    with pytest.raises(LogError, match=r"no query in it that counts: .*'keyless': 1"):
        tried(path)


@pytest.mark.parametrize(("name", "message"), [("nothing.jsonl", "not there"), ("log.txt", "unknown kind of file")])
def test_files_that_are_no_log_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "log.txt").write_text("x")
    with pytest.raises(LogError, match=message):
        log_files(str(tmp_path / name), tmp_path / "work")


def test_columns_may_have_hostile_names(tmp_path: Path) -> None:
    name = "q\"; DROP TABLE x; --'"
    (tmp_path / "log.jsonl").write_text(json.dumps({name: "lamp"}) + "\n")
    built = build([tmp_path / "log.jsonl"], Recipe(columns={"query": name}), tmp_path / "o", tmp_path / "w")
    assert built.examples == ("lamp",)


def corpus(number: int) -> list[str]:
    """Strings of every script, of digits, punctuation, controls, combining marks and characters nobody assigned."""
    drawn = random.Random(7)
    planes = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0x1100, 0x11FF),
              (0x2000, 0x206F), (0x2100, 0x218F), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xE0FF),
              (0xFE00, 0xFFEF), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0x0, 0x10FFFF)]  # fmt: skip

    def character() -> str:
        while True:
            found = chr(drawn.randint(*drawn.choice(planes)))
            if unicodedata.category(found) != "Cs":
                return found

    words = ["iPhone15", "1,000", "c++", '4.5"', "don't", "苹果手机", "ｶﾒﾗ", "gtx+", "\u0000", " "]
    return [
        "".join(drawn.choice((character(), drawn.choice(words))) for _ in range(drawn.randint(1, 12)))
        for _ in range(number)
    ]


def test_the_log_and_the_router_give_ten_thousand_strings_the_same_key(tmp_path: Path) -> None:
    texts = corpus(10_000)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"query": text}) + "\n" for text in texts), encoding="utf-8")
    expected: dict[str, int] = {}
    for text in texts:
        expected[query_key(text)] = expected.get(query_key(text), 0) + 1
    keyless = expected.pop("", 0)
    with DuckDb(tmp_path / "work", "1GB") as connection:
        traffic = count_traffic(connection, [path], {}, TrafficRules())
        found = dict(traffic.most_frequent(20_000))
    assert {key.encode(): count for key, count in found.items()} == {key.encode(): n for key, n in expected.items()}
    assert traffic.keyless == keyless


def test_problems_are_found_behind_many_good_rows_and_only_so_many_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"query": "a"}\n' * 50 + "{\n" * 30)
    found = named_problems([path], LogShape())
    assert len(found) == 10
    assert "line 51: not valid JSON" in found[0]
