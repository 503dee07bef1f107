"""When the operator calls itself dead, when ready, and what it measures."""

from typing import Any

import pytest
from aiohttp import ClientSession

from lore_operator.engine.client import KubeClient, Listing
from lore_operator.engine.credentials import connect
from lore_operator.engine.health import Health, serve
from lore_operator.engine.keys import Key
from lore_operator.engine.metrics import Metrics
from lore_operator.engine.observe import owners
from lore_operator.engine.parents import Parents
from lore_operator.engine.projection import trim
from lore_operator.engine.resources import JOBS
from lore_operator.engine.schedule import Schedule
from lore_operator.engine.watcher import Watcher

KEY = Key("RelevanceTrainJob", "team", "demo")
READY = {"type": "Ready", "status": "True", "reason": "Complete"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Parts:
    """An operator's parts without an API server."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.schedule = Schedule(self.clock, lambda: 0.0)
        self.parents = Parents(self.schedule.add)
        self.watcher = Watcher(
            KubeClient(connect),
            JOBS,
            labels="",
            trim=trim,
            owners=owners,
            wake=self.schedule.add,
            clock=self.clock,
        )
        self.health = Health([self.watcher], self.parents, self.schedule, self.clock)
        self.metrics = Metrics(self.schedule)


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_it_lives_while_its_watches_speak(parts: Parts) -> None:
    parts.clock.now += 3600
    parts.watcher.replace(Listing([], "1"))

    assert parts.health.why_dead() == []


def test_a_silent_watch_is_death(parts: Parts) -> None:
    parts.clock.now += 301

    assert parts.health.why_dead() == ["no word from the watch of jobs for 301 s"]


def test_a_silent_kopf_is_death(parts: Parts) -> None:
    parts.parents.watch_is_silent = True

    assert parts.health.why_dead() == ["the watch of our own resources misses changes"]


def test_a_queue_that_does_not_move_is_death(parts: Parts) -> None:
    parts.schedule.add(KEY)
    parts.clock.now += 299
    parts.watcher.replace(Listing([], "1"))
    parts.clock.now += 2

    assert parts.health.why_dead() == ["an object has waited for a worker for 301 s"]


def test_it_is_ready_when_everything_was_listed(parts: Parts) -> None:
    before = parts.health.why_not_ready()
    parts.watcher.synced.set()

    assert (before, parts.health.why_not_ready()) == (["jobs not listed yet"], [])


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 503), ("/metrics", 200)])
async def test_the_answers_are_what_probes_expect(parts: Parts, path: str, status: int) -> None:
    server = await serve(parts.health, parts.metrics, [parts.watcher], 0)
    try:
        port = next(address[1] for address in server.addresses if len(address) == 2)  # the IPv4 one
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
            assert answer.status == status
    finally:
        await server.cleanup()


@pytest.mark.parametrize(
    "line",
    [
        'lore_operator_queue_depth{kind="RelevanceTrainJob"} 1.0',
        'lore_operator_api_calls_total{code="409",resource="Job",verb="create"} 1.0',
        'lore_operator_errors_total{kind="RelevanceTrainJob",reason="ApiForbidden"} 1.0',
        'lore_operator_reconcile_seconds_count{kind="RelevanceTrainJob",outcome="error"} 1.0',
        'lore_operator_watched_objects{resource="jobs"} 7.0',
        'lore_operator_objects{condition="Ready",kind="RelevanceTrainJob",reason="Complete",status="True"} 1.0',
    ],
)
def test_what_is_measured_can_be_scraped(parts: Parts, line: str) -> None:
    parts.schedule.add(KEY)
    parts.metrics.called("create", "Job", 409, 0.1)
    parts.metrics.reconciled("RelevanceTrainJob", 0.2, "ApiForbidden")
    parts.metrics.watching({"jobs": 7})
    parts.metrics.shows(KEY, [READY | {"status": "False", "reason": "StageRunning"}])
    parts.metrics.shows(KEY, [READY])

    assert line in parts.metrics.render().decode().splitlines()


def test_an_object_that_is_gone_is_no_longer_counted(parts: Parts) -> None:
    parts.metrics.shows(KEY, [READY])
    parts.metrics.gone(KEY)

    assert "lore_operator_objects{" not in parts.metrics.render().decode()


EVALUATION = Key("RelevanceEval", "team", "nightly")
JUDGED = {
    "verdict": "Failed",
    "primary": {"name": "Accuracy2", "value": "0.812000", "interval": "[0.8, 0.9]"},
    "gates": [{"name": "floor", "outcome": "Passed"}, {"name": "rules", "outcome": "Failed"}],
}


def evaluations(parts: Parts) -> list[str]:
    return [line for line in parts.metrics.render().decode().splitlines() if line.startswith("lore_operator_eval")]


def test_a_verdict_its_score_and_its_gates_can_be_scraped(parts: Parts) -> None:
    parts.metrics.says(EVALUATION, JUDGED)
    own = 'name="nightly",namespace="team"'

    assert f'lore_operator_eval_verdict{{{own},verdict="Failed"}} 1.0' in evaluations(parts)
    assert f'lore_operator_eval_score{{metric="Accuracy2",{own}}} 0.812' in evaluations(parts)
    assert f'lore_operator_eval_gates{{{own},outcome="Passed"}} 1.0' in evaluations(parts)


def test_an_overridden_verdict_is_not_shown_as_a_pass(parts: Parts) -> None:
    parts.metrics.says(EVALUATION, {**JUDGED, "override": {"by": "ada"}})

    assert any("Overridden" in line for line in evaluations(parts))
    assert not any('Passed"} 1.0' in line for line in evaluations(parts) if "verdict=" in line)


@pytest.mark.parametrize("status", [{}, {"verdict": None}])
def test_a_new_run_takes_the_old_verdict_away(parts: Parts, status: dict[str, Any]) -> None:
    parts.metrics.says(EVALUATION, JUDGED)
    parts.metrics.says(EVALUATION, status)

    assert evaluations(parts) == []


def test_a_score_that_is_no_number_is_not_shown(parts: Parts) -> None:
    parts.metrics.says(EVALUATION, {**JUDGED, "primary": {"name": "Accuracy2", "value": "high"}})

    assert not [line for line in evaluations(parts) if "eval_score" in line]


TRAINING = Key("RelevanceTrainJob", "team", "lore")
STAGES = [
    {
        "name": "sft",
        "phase": "Running",
        "progress": {"step": 30, "totalSteps": 120},
        "metrics": [{"name": "loss", "value": "0.4210"}, {"name": "layout", "value": "ThinkFirst"}],
        "gpuHours": "1.500",
    },
    {"name": "student", "phase": "Pending"},
]


def trainings(parts: Parts) -> list[str]:
    return [line for line in parts.metrics.render().decode().splitlines() if line.startswith("lore_operator_train")]


def test_what_a_stage_measures_can_be_scraped_while_it_runs(parts: Parts) -> None:
    parts.metrics.says(TRAINING, {"stages": STAGES})
    own = 'name="lore",namespace="team",stage="sft"'

    assert trainings(parts) == [
        f'lore_operator_train_measured{{measure="loss",{own}}} 0.421',
        f"lore_operator_train_done{{{own}}} 0.25",
        f"lore_operator_train_gpu_hours{{{own}}} 1.5",
    ]


def test_a_deleted_train_job_is_not_shown(parts: Parts) -> None:
    parts.metrics.says(TRAINING, {"stages": STAGES})
    parts.metrics.gone(TRAINING)

    assert trainings(parts) == []
