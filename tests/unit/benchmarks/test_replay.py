"""The replay's bill can be checked by hand, and a predictor is billed for what it computes."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.replay import __main__ as program
from benchmarks.replay import predictors
from benchmarks.replay.bill import Seconds, Shown, everything_to_the_tail, most, service_times, stratified
from benchmarks.replay.day import Day
from benchmarks.replay.predictors import Timed, Turn, pages
from lore_core.router.config import TierPolicy

SECONDS = Seconds(lookup=0.001, torso=0.01, tail=0.1)
SHOWN = Shown(page=10, refreshed=2)
TURN = Turn(pairs=100, wall=4.0, predictor=6.0, router=0.5, prompt_tokens=5_000, output_tokens=1_400)


@pytest.fixture
def day() -> Day:
    """20 requests, half of them head queries; of these half are hits whole, and 93 of 100 pairs are."""
    found = Day(seconds=[0.001] * 10)
    found.pairs.update(hit=93, stale=3, miss=4)
    found.requests.update(head=10, torso=6, tail=4)
    found.answered.update(head=5, torso=11, tail=4)
    return found


def test_without_strata_every_pair_costs_what_the_language_model_takes(day: Day) -> None:
    bill = everything_to_the_tail(day, SECONDS, SHOWN)
    assert bill.seconds == pytest.approx(20 * 10 * 0.1)
    assert bill.per_thousand == pytest.approx(1000)
    assert bill.hours_per_million == pytest.approx(1_000_000 / 3600)
    assert bill.rate == pytest.approx(1.0)


@pytest.mark.parametrize(("policy", "torso_pairs"), [(TierPolicy.PER_QUERY, 60 + 50), (TierPolicy.PER_ITEM, 60 + 7)])
def test_a_miss_sends_on_a_page_or_a_pair_by_the_policy(day: Day, policy: TierPolicy, torso_pairs: int) -> None:
    bill = stratified(day, policy, SECONDS, SHOWN)
    parts = {"lookups": 10 * 0.001, "torso": torso_pairs * 0.01, "tail": 40 * 0.1, "refresh": 2 * 0.1}
    assert {name: getattr(bill, name) for name in parts} == pytest.approx(parts)
    assert bill.seconds == pytest.approx(sum(parts.values()))
    assert bill.cheaper_than(everything_to_the_tail(day, SECONDS, SHOWN)) == pytest.approx(20 / sum(parts.values()))


def test_a_slower_tail_brings_the_factor_to_its_share_of_the_pairs(day: Day) -> None:
    slow = replace(SECONDS, tail=1e6)
    found = stratified(day, TierPolicy.PER_QUERY, slow, SHOWN).cheaper_than(everything_to_the_tail(day, slow, SHOWN))
    assert most(day, SHOWN) == pytest.approx(200 / 42)
    assert found == pytest.approx(200 / 42, rel=1e-4)


def test_a_plan_reads_the_days_hits_and_the_measured_seconds(day: Day) -> None:
    times = service_times(day, SECONDS, "here")
    assert (times.head_pair_hits, times.head_request_hits) == (0.93, 0.5)
    assert (times.head_request_seconds, times.torso_pair_seconds, times.tail_pair_seconds) == (0.001, 0.01, 0.1)


def test_a_predictor_is_billed_cores_or_a_gpu_for_as_long_as_it_is_held() -> None:
    turns = [TURN, replace(TURN, predictor=8.0, wall=5.0), replace(TURN, predictor=20.0, wall=50.0)]
    assert Timed(turns, gpus=0).seconds == pytest.approx(0.08)
    assert Timed(turns, gpus=1).seconds == pytest.approx(0.05)
    assert Timed(turns, gpus=2).seconds == pytest.approx(0.10)


def test_a_predictor_says_how_long_a_pair_is() -> None:
    times = Timed([TURN, replace(TURN, output_tokens=1_000)], gpus=0)
    assert (times.prompt_tokens, times.output_tokens) == (50, 12)
    assert times.rate == pytest.approx(25)
    assert times.router == pytest.approx(0.005)


async def test_core_seconds_are_the_predictors_and_not_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(*_: object) -> SimpleNamespace:
        return SimpleNamespace(prompt_tokens=60, output_tokens=28)

    used = iter([{"client": 1.0, "http": 2.0, "engine": 3.0}, {"client": 1.5, "http": 4.0, "engine": 7.0}])
    monkeypatch.setattr(predictors, "_ask", asked)
    monkeypatch.setattr(predictors, "cpu_seconds", lambda _: next(used))
    one = SimpleNamespace(server=SimpleNamespace(pid=1), predictor=None)
    turn = await predictors._turn(one, [["first", "second"], ["third"]])
    assert (turn.pairs, turn.predictor, turn.router, turn.prompt_tokens, turn.output_tokens) == (3, 6.0, 0.5, 60, 28)


def test_a_page_is_one_query_that_no_other_page_asks() -> None:
    found = pages(96, 40)
    assert {len(page) for page in found} == {40}
    assert {len({(pair.query, pair.market) for pair in page}) for page in found} == {1}
    assert len({(page[0].query, page[0].market) for page in found}) == 96
    assert found == pages(96, 40)


def test_more_pages_than_there_are_queries_are_refused() -> None:
    with pytest.raises(ValueError, match=r"asked for 100000 pages of 40"):
        pages(100_000, 40)


def test_a_folder_that_is_no_model_is_told_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["replay", "--tail-model", str(tmp_path / "nowhere")])
    with pytest.raises(
        SystemExit, match=r"nowhere/lore-contract\.json: not there; this folder is not a published model"
    ):
        program.main()
