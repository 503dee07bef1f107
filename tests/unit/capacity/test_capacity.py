"""`lore plan`: replicas and GPU-hours that can be checked by hand, and what bad input is told."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from benchmarks.replay.bill import Seconds, lookup_seconds, service_times
from benchmarks.replay.day import Day
from lore_core.capacity.plan import Fleet, HeadBuild, Load, Plan, Planner, Pool, zipf
from lore_core.capacity.service_times import ServiceTimes, read_service_times
from lore_core.cli import main
from lore_core.router.config import TierPolicy
from lore_core.strata.boundaries import Frequencies

TIMES = ServiceTimes(
    source="by hand",
    head_request_seconds=0.001,
    torso_pair_seconds=0.002,
    tail_pair_seconds=0.05,
    head_pair_hits=0.9,
    head_request_hits=0.5,
)
# One query asked 5 times, three once each, two once each: head 5/10, torso 3/10, tail 2/10.
LOG = Frequencies([5, 1], [1, 5])
SHARES = (Fraction(1, 2), Fraction(3, 10))


def plan(policy: TierPolicy = TierPolicy.PER_QUERY, least: int = 1, **load: float) -> Plan:
    fleet = Fleet(Pool(0.5, least), Pool(2.0, least), 0.5, policy)
    planner = Planner(Load(**{"peak": 100.0, "mean": 50.0, "items": 10.0} | load), TIMES, fleet, HeadBuild(100, 0.1))
    (found,) = planner.plans(LOG, [SHARES])
    return found


def test_replicas_are_those_that_the_peak_keeps_half_busy() -> None:
    found = plan()
    # Tail: 0.2 of 1,000 pairs/s take 10 replicas whole, so 20 half busy. Torso: 0.3, and the half of the head that
    # misses, 0.25, take 1.1 replicas whole.
    assert (found.tail.pairs, found.tail.replicas) == (pytest.approx(200), 20)
    assert (found.torso.pairs, found.torso.replicas) == (pytest.approx(550), 3)
    assert found.router_cores == pytest.approx(100 * 0.5 * 0.001 / 0.5)


def test_gpu_hours_are_held_for_the_peak_and_used_by_the_mean() -> None:
    found = plan()
    assert found.tail.held == pytest.approx(20 * 2.0 * 24)
    assert found.tail.used == pytest.approx(5 * 2.0 * 24)
    assert found.torso.held == pytest.approx(3 * 0.5 * 24)
    assert found.build == pytest.approx(1 * 100 * 0.05 * 2.0 / 3600)
    assert found.used == pytest.approx(found.torso.used + found.tail.used + 0.1 * found.build)


def test_per_item_sends_only_the_pairs_that_the_head_lacks() -> None:
    assert plan(TierPolicy.PER_ITEM).torso.pairs == pytest.approx(1000 * (0.3 + 0.5 * 0.1))


def test_a_tier_has_the_least_replicas_though_nobody_asks() -> None:
    assert plan(least=3, peak=0.01, mean=0.01).tail.replicas == 3


def test_zipf_is_the_law_it_says() -> None:
    found = zipf(1000, 1.0)
    assert found.weights[0] == 1000 * found.weights[-1]
    assert sum(found.queries) == 1000


def command(tmp_path: Path, *more: str, times: Any = TIMES) -> int:
    file = tmp_path / "times.json"
    file.write_text(times if isinstance(times, str) else times.model_dump_json(by_alias=True))
    return main(["plan", "--requests", "100", "--items", "10", "--times", str(file), *more])


def test_a_log_and_boundaries_to_a_table_and_to_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.jsonl"
    rows = [{"query": "red shirt", "count": 5}, *({"query": f"odd {word}"} for word in "abcde")]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--log", str(log), "--boundaries", "0.5,0.3", "--boundaries", "0.5,0.5"]
    assert command(tmp_path, *asked, "--output", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [p["shares"]["tail"] for p in found["plans"]] == [pytest.approx(0.2), pytest.approx(0.0)]
    assert found["plans"][0]["tail"]["replicas"] == 15
    assert found["plans"][0]["timesLess"] < found["plans"][1]["timesLess"]
    assert command(tmp_path, *asked) == 0
    table = capsys.readouterr().out
    assert "by hand" in table
    assert "50.0%  30.0%  20.0%" in table


@pytest.mark.parametrize(
    ("more", "times", "words"),
    [
        (["--zipf", "many"], TIMES, "--zipf many: write QUERIES,SKEW"),
        (["--zipf", "0,1"], TIMES, "Zipf needs 1 to 10,000,000 queries"),
        (["--zipf", "10,1", "--boundaries", "0.8,0.3"], TIMES, "--boundaries 0.8,0.3: write HEAD,TORSO"),
        (["--zipf", "10,1", "--boundaries", "half"], TIMES, "--boundaries half: write HEAD,TORSO"),
        (["--zipf", "10,1", "--utilisation", "0"], TIMES, "utilisation must be above 0"),
        (["--zipf", "10,1", "--mean-requests", "101"], TIMES, "the peak not below the mean"),
        (["--zipf", "10,1"], "{}", "times.json: source: Field required; write it with"),
        (["--zipf", "10,1"], "torn", "times.json: document: Invalid JSON"),
        (["--log", "/nowhere/log.jsonl"], TIMES, "/nowhere/log.jsonl"),
    ],
)
def test_bad_input_is_named_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], times: Any, words: str
) -> None:
    assert command(tmp_path, *more, times=times) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err


def test_the_replays_day_is_what_a_plan_reads(tmp_path: Path) -> None:
    day = Day()
    day.pairs.update(hit=90, stale=4, miss=6)
    day.requests.update(head=10, tail=5)
    day.answered.update(head=4, torso=6, tail=5)
    day.seconds += [0.001, 0.003]
    file = tmp_path / "times.json"
    file.write_text(
        service_times(day, Seconds(lookup_seconds(day), 0.002, 0.05), "here").model_dump_json(by_alias=True)
    )
    found = read_service_times(file)
    assert (found.head_pair_hits, found.head_request_hits, found.head_request_seconds) == (0.9, 0.4, 0.002)
