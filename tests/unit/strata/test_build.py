"""A query log becomes strata by the rule that was asked for, the same way every time; a broken log is refused by line."""

import gzip
import json
from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.artifacts import ArtifactRef, verify
from lore_core.cli import main
from lore_core.records import RecordError
from lore_core.strata import StrataSnapshot
from lore_core.strata.boundaries import Boundaries, Frequencies, Limits, Rule, limits
from lore_core.strata.build import Built, Recipe, build
from lore_core.strata.log import LogError, log_files
from lore_core.strata.on_duckdb import DuckDb
from lore_core.strata.pins import read_pins
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.traffic import TrafficRules, Trend

COUNTS = {"phone": 50, "shoe": 30, "lamp": 15, "odd thing": 5}
TODAY = date(2026, 11, 20)


def log(folder: Path, *lines: object) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def counted(folder: Path, counts: Mapping[str, int] = COUNTS) -> Path:
    return log(folder, *({"query": query, "count": count} for query, count in counts.items()))


def made(path: Path, previous: StrataSnapshot | None = None, **recipe: Any) -> tuple[StrataSnapshot, Built]:
    out, number = path.parent, len(list(path.parent.glob("out-*")))
    built = build([path], Recipe(**recipe), out / f"out-{number}", out / f"work-{number}", previous)
    return StrataSnapshot.open(out / f"out-{number}"), built


def strata(path: Path, *queries: str, **recipe: Any) -> list[str]:
    snapshot, _ = made(path, **recipe)
    return [snapshot.stratum(query) for query in queries or COUNTS]


def days_ago(query: str, age: int, count: int = 1, **more: Any) -> dict[str, Any]:
    return {"query": query, "date": str(TODAY - timedelta(days=age)), "count": count, **more}


@pytest.mark.parametrize(
    ("boundaries", "expected"),
    [
        (Boundaries("0.5", "0.3"), ["head", "torso", "tail", "tail"]),
        (Boundaries("0.51", "0.3"), ["head", "head", "torso", "tail"]),
        (Boundaries("1", "3", Rule.TOP), ["head", "torso", "torso", "torso"]),
        (Boundaries("30", "15", Rule.COUNT), ["head", "head", "torso", "tail"]),
        (Boundaries("0", "0"), ["tail", "tail", "tail", "tail"]),
    ],
)
def test_boundaries_go_by_share_of_traffic_by_number_or_by_count(
    tmp_path: Path, boundaries: Boundaries, expected: list[str]
) -> None:
    assert strata(counted(tmp_path), boundaries=boundaries) == expected


def test_spellings_are_counted_together(tmp_path: Path) -> None:
    path = log(tmp_path, {"query": "iPhone15"}, {"query": "iphone 15"}, {"query": "lamp"})
    _, built = made(path, boundaries=Boundaries("0.5", "0"))
    assert (built.counts["head"].queries, built.counts["head"].requests) == (1, 2)


def test_equal_logs_give_equal_bytes_whatever_their_format(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"query": f'q "{n}", ü', "count": 1 + n % 3} for n in range(50)]
    files = [log(tmp_path, *rows), tmp_path / "log.csv", tmp_path / "log.parquet", tmp_path / "log.jsonl.gz"]
    cells = "".join(f'"{row["query"].replace(chr(34), chr(34) * 2)}",{row["count"]}\n' for row in rows)  # type: ignore[attr-defined]
    files[1].write_text("query,count\n" + cells, encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), files[2])
    files[3].write_bytes(gzip.compress(files[0].read_bytes()))
    written = set()
    for number, path in enumerate(files):
        build([path], Recipe(secret=b"k" * 16), tmp_path / f"o{number}", tmp_path / f"w{number}")
        written.add((tmp_path / f"o{number}/strata.bin").read_bytes())
    assert len(written) == 1


def test_a_log_is_counted_whole_in_little_memory(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "log.parquet"
    rows = "SELECT 'query ' || (range % 100000) AS query, DATE '2026-11-01' + (range % 28)::INTEGER AS date FROM range(400000)"
    duckdb.execute(f"COPY ({rows}) TO '{path}'")

    _, built = made(path, memory="28MB", traffic=TrafficRules(RowRules(Window(days=28))))

    assert sum(count.requests for count in built.counts.values()) == 400_000


def test_what_two_threads_have_no_memory_for_is_done_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A list cannot be spilled: this one fits where a single thread asks for it, and only there.
    long_for_two = "range(CASE WHEN current_setting('threads') > 1 THEN 50000000 ELSE 10 END)"
    with DuckDb(tmp_path / "work", "28MB") as engine:
        engine.connection.execute("SET threads = 2")
        engine.define("found", f"SELECT len(list(range)) AS length FROM {long_for_two}")
        assert list(engine.rows("SELECT length FROM found")) == [(10,)]
    assert "short of memory, going on with one thread" in capsys.readouterr().err


def test_files_of_several_formats_are_one_log(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    log(tmp_path / "log", {"query": "lamp"}, {"query": "lamp"})
    (tmp_path / "log/more.csv").write_text("query\nphone\nphone\nphone\n")
    built = build(log_files(str(tmp_path / "log"), tmp_path), Recipe(), tmp_path / "out", tmp_path / "work")
    assert built.examples == ("phone",)
    assert built.counted.rows == 5


def test_columns_of_another_name_are_mapped(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("search_term,hits\nlamp,1\nphone,9\n")
    columns = {"query": "search_term", "count": "hits"}
    assert strata(tmp_path / "log.csv", "phone", "lamp", columns=columns) == ["head", "tail"]


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("search_term,hits\nlamp,1\n")
    with pytest.raises(LogError, match=r"log\.csv: query: no column 'query'; the columns are search_term, hits"):
        made(tmp_path / "log.csv")


# the window


def test_what_is_older_than_the_window_does_not_count(tmp_path: Path) -> None:
    path = log(tmp_path, days_ago("old", 9, 100), days_ago("new", 0, 5), days_ago("new", 8, 1))
    _, built = made(path, traffic=TrafficRules(RowRules(Window(days=9))))
    assert built.examples == ("new",)
    assert (built.counted.outside, built.counted.first, built.counted.last) == (1, "2026-11-12", "2026-11-20")


def test_older_requests_weigh_less_by_their_half_life(tmp_path: Path) -> None:
    path = log(tmp_path, days_ago("yesterday", 7, 19), days_ago("today", 0, 10))
    rules = TrafficRules(RowRules(Window(days=28, half_life=7.0)))
    assert made(path, traffic=rules)[1].examples[0] == "today"
    assert made(path)[1].examples[0] == "yesterday"


def test_one_row_from_the_future_does_not_move_the_window(tmp_path: Path) -> None:
    path = log(tmp_path, *(days_ago("phone", n, 1000) for n in range(3)), days_ago("wrong clock", -900))
    _, built = made(path, traffic=TrafficRules(RowRules(Window(days=2))))
    assert (built.examples, built.counted.last, built.counted.outside) == (("phone",), str(TODAY), 2)


def test_a_trending_query_counts_as_if_it_had_always_been_asked_like_that(tmp_path: Path) -> None:
    steady = [days_ago("steady", age, 20) for age in range(10)]
    path = log(tmp_path, *steady, days_ago("hot", 0, 60), days_ago("hot", 5, 3), days_ago("small", 0, 9))
    without = made(path, traffic=TrafficRules(RowRules(Window(10))))[1]
    lifted = made(path, traffic=TrafficRules(RowRules(Window(10)), Trend(factor=3.0, days=1, least=10)))[1]
    assert (without.examples[0], without.log["trending"]) == ("steady", 0)
    assert (lifted.examples[0], lifted.log["trending"]) == ("hot", 1)


def test_users_with_too_many_requests_in_a_day_do_not_count_on_that_day(tmp_path: Path) -> None:
    bot = [days_ago("spam", 0, 1, user="b") for _ in range(30)]
    path = log(
        tmp_path, *bot, days_ago("spam", 1, 2, user="b"), *(days_ago("lamp", 0, 1, user=f"u{n}") for n in range(5))
    )
    _, built = made(path, traffic=TrafficRules(RowRules(bot_limit=20)))
    assert (built.examples[0], built.counted.bots) == ("lamp", 30)
    assert built.counts["torso"].requests == 2  # what it asked the day before


# previous snapshots and pins


def test_a_query_near_a_boundary_stays_where_it_was(tmp_path: Path) -> None:
    twenty = {f"q{n:02d}": 40 - n for n in range(20)}
    top = Boundaries("10", "0", Rule.TOP)
    first, _ = made(counted(tmp_path, twenty), boundaries=top)
    swapped = twenty | {"q09": twenty["q10"], "q10": twenty["q09"]}
    path = counted(tmp_path, swapped)
    kept, built = made(path, first, boundaries=top, hysteresis="0.1")
    assert [kept.stratum(q) for q in ("q09", "q10")] == ["head", "tail"]
    assert built.moved["headEntered"] == built.moved["headLeft"] == 0
    moved, built = made(path, first, boundaries=top, hysteresis="0")
    assert [moved.stratum(q) for q in ("q09", "q10")] == ["tail", "head"]
    assert built.moved["headEntered"] == built.moved["headLeft"] == 1


def test_a_snapshot_keeps_the_hash_key_of_the_previous_one(tmp_path: Path) -> None:
    first, _ = made(counted(tmp_path), secret=b"s" * 16)
    assert made(counted(tmp_path), first)[0].secret == b"s" * 16


def test_pins_win_over_the_log_and_need_not_occur_in_it(tmp_path: Path) -> None:
    pins = {"phone": "tail", "odd thing": "head", "brand new": "torso"}
    snapshot, built = made(counted(tmp_path), pins=pins)
    assert [snapshot.stratum(q) for q in pins] == ["tail", "head", "torso"]
    assert sum(c.requests for c in built.counts.values()) == 100
    assert sum(c.queries for c in built.counts.values()) == 5


def test_a_query_pinned_twice_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "pins.jsonl"
    path.write_text('{"query": "Lamp", "stratum": "head"}\n{"query": "lamp", "stratum": "tail"}\n')
    with pytest.raises(RecordError, match=r"pins\.jsonl:2: stratum: 'lamp' is pinned to head above"):
        read_pins(path)


# arithmetic

RUNS = st.dictionaries(st.integers(1, 10**6), st.integers(1, 50), min_size=1, max_size=20)
SHARES = st.fractions(0, 1, max_denominator=100)


@given(RUNS, SHARES)
def test_the_rank_of_a_share_is_the_definition_counted_out(runs: dict[int, int], share: Fraction) -> None:
    ordered = sorted(runs.items(), reverse=True)
    frequencies = Frequencies([weight for weight, _ in ordered], [queries for _, queries in ordered])
    before, rank = 0, 0
    for weight in (weight for weight, queries in ordered for _ in range(queries)):
        rank += before < share * frequencies.total
        before += weight
    assert frequencies.rank_of_share(share) == rank


@given(RUNS, SHARES, SHARES, st.fractions(0, Fraction(9, 10), max_denominator=10), st.sampled_from(list(Rule)))
def test_more_traffic_never_means_a_lower_stratum(
    runs: dict[int, int], head: Fraction, torso: Fraction, margin: Fraction, rule: Rule
) -> None:
    ordered = sorted(runs.items(), reverse=True)
    frequencies = Frequencies([weight for weight, _ in ordered], [queries for _, queries in ordered])
    if rule is Rule.SHARE:
        boundaries = Boundaries(str(head / 2), str(torso / 2))
    else:
        low, high = sorted((1 + int(head * 50), 1 + int(torso * 50)))
        boundaries = Boundaries(str(high), str(low), rule)
    found: Limits = limits(boundaries, frequencies, margin)
    for before in ("head", "torso", "tail"):
        order = [("head", "torso", "tail").index(found.stratum(rank, before)) for rank in range(sum(runs.values()))]
        assert order == sorted(order)
    for rank in range(sum(runs.values())):  # who was in a stratum never has it harder there than who was not
        places = [("head", "torso", "tail").index(found.stratum(rank, before)) for before in ("head", "torso", "tail")]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("0.7", "0.4", Rule.SHARE), "sum to at most 1"),
        (("-1", "0", Rule.TOP), "at least 0"),
        (("5", "9", Rule.COUNT), "fewer requests"),
    ],
)
def test_boundaries_that_cannot_be_are_refused(values: tuple[str, str, Rule], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Boundaries(*values)


# the command


def test_the_command_publishes_an_artifact_that_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, {"query": "phone", "count": 9}, {"query": "lamp"})
    assert main(["strata", "build", "--log", str(path), "--output", f"file://{tmp_path}/published"]) == 0
    digest = capsys.readouterr().out.split()[-1]
    manifest = verify(ArtifactRef(uri=f"file://{tmp_path}/published", digest=digest), tmp_path / "fetched")
    assert manifest.kind == "strata"
    assert StrataSnapshot.open(tmp_path / "fetched").stratum("phone") == "head"


def test_a_log_that_is_an_artifact_and_a_previous_snapshot_are_taken_by_uri(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    log(tmp_path / "day", {"query": "phone", "count": 9}, {"query": "lamp"})
    from lore_core.artifacts import publish

    publish(tmp_path / "day", ArtifactRef(uri=f"file://{tmp_path}/log"), "query-log")
    words = ["strata", "build", "--log", f"file://{tmp_path}/log", "--output"]
    assert main([*words, f"file://{tmp_path}/one"]) == 0
    assert main([*words, f"file://{tmp_path}/two", "--previous", f"file://{tmp_path}/one"]) == 0
    assert (tmp_path / "one/strata.bin").read_bytes() == (tmp_path / "two/strata.bin").read_bytes()


def test_a_log_in_a_store_may_be_one_file(tmp_path: Path) -> None:
    counted(tmp_path)
    assert main(["strata", "build", "--log", f"file://{tmp_path}/log.jsonl", "--output", f"file://{tmp_path}/out"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--head-share", "0.5", "--head-top", "5"], "one of share, top, count"),
        (["--head-count", "5"], "give both --head-count and --torso-count"),
        (["--cost", "1,2"], "three numbers"),
        (["--column", "term"], "write FIELD=COLUMN"),
        (["--column", "market=m"], "market: no field of this log"),
        (["--hysteresis", "1"], "below 1"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    path = counted(tmp_path)
    assert main(["strata", "build", "--log", str(path), "--output", f"file://{tmp_path}/out", *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_report_shows_shares_and_cost_and_no_query_outside_the_head(tmp_path: Path) -> None:
    path = counted(tmp_path, COUNTS | {"<b>jane doe</b>": 1, "<i>head</i>": 500})
    report = tmp_path / "report.html"
    words = ["--log", str(path), "--output", f"file://{tmp_path}/out", "--report", str(report), "--cost", "0,0.02,0.3"]
    assert main(["strata", "build", *words]) == 0
    page = report.read_text()
    assert "jane" not in page
    assert "<i>head</i>" not in page
    assert "i head i" in page  # the key of the hostile head query, harmless as text
    assert "<polyline" in page
    assert "compute s / 1,000 requests" in page
    assert "http" not in page  # nothing is loaded from anywhere
