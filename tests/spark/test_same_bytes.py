"""A log counted with Spark, in local mode, gives the bytes that DuckDB gives: snapshot, description, and what is told of it."""

import gzip
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lore_core.records.pair import MAX_QUERY
from lore_core.strata import StrataSnapshot
from lore_core.strata.boundaries import Boundaries, Rule
from lore_core.strata.build import Built, Recipe, build, build_on
from lore_core.strata.log import LogError
from lore_core.strata.on_spark import Spark
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.snapshot import BIN_NAME, JSON_NAME
from lore_core.strata.traffic import TrafficRules, Trend

TODAY = date(2026, 11, 20)
LAST_WEEK = RowRules(Window(days=7, half_life=3.0), bot_limit=40)
# Each is asked in its own way: spellings of one key, letters beyond the first plane, marks, rare and trending queries.
QUERIES = (
    "iPhone15",
    "iphone 15",
    "ＰＨＯＮＥ",
    "phone",
    "跑步鞋 42码",
    "跑 步 鞋 42码",
    "𠮷野家",
    "Straße",
    "e\u0301clair",
    "!!!",
    "odd",
)
RECIPES: dict[str, dict[str, Any]] = {
    "shares": {"boundaries": Boundaries("0.5", "0.3")},
    "top": {"boundaries": Boundaries("2", "3", Rule.TOP)},
    "counts": {"boundaries": Boundaries("30", "5", Rule.COUNT)},
    "window": {"traffic": TrafficRules(LAST_WEEK)},
    "trend": {"traffic": TrafficRules(LAST_WEEK, Trend(factor=1.5, days=2, least=3))},
    "pins": {"pins": {"odd": "head", "never asked": "torso", "phone": "tail"}},
}


def rows() -> list[dict[str, Any]]:
    found = []
    for number in range(600):
        query = "odd" if number % 59 == 1 else QUERIES[(number * number) % (1 + number % len(QUERIES))]
        day = TODAY - timedelta(days=number % 9 if query != "odd" else 0)
        user = "robot" if number % 4 == 0 else f"user {number % 50}"
        found.append({"query": query, "date": f"{day}T10:00:00+02:00", "count": 1 + number % 5, "user": user})
    return found


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    with Spark("local[2]", tmp_path_factory.mktemp("spark")) as engine:
        yield engine


def written(folder: Path, kind: str) -> Path:
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    path, table = folder / f"log.{kind}", pyarrow.Table.from_pylist(rows())
    if kind == "parquet":
        pyarrow.parquet.write_table(table, path)
    elif kind == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    return path


def both(
    folder: Path, files: list[Path], spark: Spark, previous: StrataSnapshot | None = None, **recipe: Any
) -> tuple[Built, Built]:
    """The builds of DuckDB and of Spark, whose files are equal."""
    here = build(files, Recipe(**recipe), folder / "duckdb", folder / "work", previous)
    there = build_on(spark, files, Recipe(**recipe), folder / "spark", previous)
    for name in (BIN_NAME, JSON_NAME):
        assert (folder / "spark" / name).read_bytes() == (folder / "duckdb" / name).read_bytes()
    assert here == there
    return here, there


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "parquet"])
def test_every_format_gives_the_same_bytes(tmp_path: Path, spark: Spark, kind: str) -> None:
    here, _ = both(tmp_path, [written(tmp_path, kind)], spark, **RECIPES["window"])
    assert here.log["bots"] > 0
    assert here.log["outside"] > 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_rule_gives_the_same_bytes(tmp_path: Path, spark: Spark, recipe: str) -> None:
    here, _ = both(tmp_path, [written(tmp_path, "jsonl")], spark, **RECIPES[recipe])
    assert here.log["trending"] == (1 if recipe == "trend" else 0)


def test_hysteresis_holds_against_a_snapshot_of_the_other_engine(tmp_path: Path, spark: Spark) -> None:
    path = written(tmp_path, "jsonl")
    build([path], Recipe(boundaries=Boundaries("0.6", "0.2")), tmp_path / "before", tmp_path / "work-before")
    previous = StrataSnapshot.open(tmp_path / "before")
    here, _ = both(tmp_path, [path], spark, previous, boundaries=Boundaries("0.5", "0.3"), hysteresis="0.3")
    assert here.moved


def test_broken_rows_are_counted_alike(tmp_path: Path, spark: Spark) -> None:
    path = tmp_path / "log.jsonl"
    lines: list[Any] = [{"query": "good", "count": 2.0}, {"query": 5}, {"query": None}, {"query": ""}, {}, 7, [1]]
    lines += [
        {"query": "x" * (MAX_QUERY + 1)},
        *({"query": "good", "count": n} for n in (0, -1, 1.5, "3", True, None, 2e9)),
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_bytes(text.encode() + b'{"query": "\xff"}\n{"query": \n\n  \n')
    here, _ = both(tmp_path, [path], spark, traffic=TrafficRules(RowRules(max_broken=1.0)))
    assert here.log["broken"] == 15
    assert here.log["rows"] == 17


def test_broken_days_and_torn_csv_rows_are_counted_alike(tmp_path: Path, spark: Spark) -> None:
    path = tmp_path / "log.csv"
    days = (
        "2026-11-20",
        "2026-11-19 08:00:00",
        "2026-11-20T23:30:00-02:00",
        "2026",
        "2026-11",
        "soon",
        "2026-13-01",
        "",
    )
    path.write_text(
        "query,date,count\n" + "".join(f'"a ""quoted"", one",{day},1\n' for day in days) + "b,2026-11-20\n", "utf-8"
    )
    rules = TrafficRules(RowRules(Window(days=7), max_broken=1.0))
    here, _ = both(tmp_path, [path], spark, traffic=rules)
    assert (here.log["rows"], here.log["broken"]) == (9, 6)


def test_a_log_with_too_many_broken_rows_is_refused_with_the_same_words(tmp_path: Path, spark: Spark) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"query": "a"}\n{"query": 5}\n', "utf-8")

    with pytest.raises(LogError, match="line 2: query: must be text") as here:
        build([path], Recipe(), tmp_path / "out", tmp_path / "work")
    with pytest.raises(LogError) as there:
        build_on(spark, [path], Recipe(), tmp_path / "out")

    assert str(there.value) == str(here.value)


def test_the_command_counts_with_spark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lore_core.cli import main

    path = written(tmp_path, "parquet")
    digests = []
    for engine in ([], ["--spark", "local[2]"]):
        output = f"file://{tmp_path}/published-{len(digests)}"
        assert main(["strata", "build", "--log", str(path), "--output", output, *engine]) == 0
        digests.append(capsys.readouterr().out.split()[-1])
    assert digests[0] == digests[1]
