"""What the checker lets through, measured against a teacher whose faults are known."""

from pathlib import Path

import pytest
from unit.synthesis.world import config, judged_pairs, rule_teacher, run, served, world_pairs

from lore_core.benchmark.rule_teacher import FaultRates
from lore_core.jobs import RuleMode
from lore_core.prompts import trace_text
from lore_core.records import Pair, trace_label
from lore_core.synthesis.job import Synthesis
from lore_core.synthesis.progressive import Mode


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return world_pairs(4)


@pytest.fixture(scope="module")
def judged(pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> tuple[Synthesis, set[str]]:
    """A synthesis with the documented faults, and the ids of the pairs whose answers really had one."""
    teacher = rule_teacher(FaultRates())
    with served(teacher) as server:
        found = run(config(tmp_path_factory.mktemp("quality"), server.url), pairs)
    faulty = {o.pair.id for o in found.outcomes if any(key in teacher.ledger for key in o.requests)}
    return found, faulty


def test_the_filter_finds_seeded_faults(judged: tuple[Synthesis, set[str]]) -> None:
    found, faulty = judged
    rejected = {outcome.pair.id for outcome in found.outcomes if outcome.trace is None}
    assert len(faulty) > 80
    assert len(rejected & faulty) / len(rejected) >= 0.95
    assert len(rejected & faulty) / len(faulty) >= 0.80


def test_what_is_accepted_argues_for_gold(judged: tuple[Synthesis, set[str]]) -> None:
    for outcome in judged[0].accepted:
        assert outcome.trace is not None
        assert trace_label(outcome.trace) is outcome.pair.groundtruth
        assert outcome.mode is Mode.BLIND


def test_a_flawless_teacher_passes_whole_and_argues_as_the_worlds_own_judges_do(tmp_path: Path) -> None:
    own = {pair.id: pair for pair in world_pairs(2)}
    with served(rule_teacher()) as server:
        found = run(config(tmp_path, server.url), list(own.values()))
    assert len(found.accepted) == len(own)
    traces = {outcome.pair.id: trace_text(outcome.trace or (), RuleMode.RETRIEVED) for outcome in found.accepted}
    assert traces == {pair.id: trace_text(pair.trace, RuleMode.RETRIEVED) for pair in judged_pairs(2)}
    assert found.report["acceptRate"] == "1.0000"
    assert found.report["labels"] == {
        label: {"pairs": len(own) // 4, "accepted": len(own) // 4, "rate": "1.0000"}
        for label in ("L1", "L2", "L3", "L4")
    }


def test_more_samples_win_pairs_back(judged: tuple[Synthesis, set[str]], pairs: list[Pair], tmp_path: Path) -> None:
    first = {pair.id for pair in pairs[:96]}
    with served(rule_teacher(FaultRates())) as server:
        found = run(config(tmp_path, server.url, samples=4), pairs[:96])
    assert len(found.accepted) > sum(outcome.pair.id in first for outcome in judged[0].accepted)


def test_the_report_says_what_each_capability_came_to(judged: tuple[Synthesis, set[str]]) -> None:
    report = judged[0].report
    capabilities = report["capabilities"]
    assert isinstance(capabilities, dict)
    assert list(capabilities) == ["Knowledge", "Visual", "Rules"]
    assert set(report["industries"]) == {"goods", "prints"}  # type: ignore[arg-type]
    rules = capabilities["Rules"]
    assert isinstance(rules, dict)
    assert sum(rules["reasons"].values()) == rules["tried"] - rules["passed"]  # type: ignore[operator, union-attr]
