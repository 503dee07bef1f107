"""runPolicy.startDeadline and stallDeadline: an attempt without a sign of life is stopped, and tried again when it is gone."""

from datetime import timedelta
from typing import Any

import pytest
from unit.plan.test_trainjob import world
from unit.plan.world import World, condition, statuses

from lore_core.jobs import Phase, Progress, Report
from lore_operator.plan.conditions import timestamp

JOB = "demo-sft-a1"
BOTH = {"startDeadline": "10m", "stallDeadline": "30m", "maxRestarts": 1}


def started(**policy: Any) -> World:
    """A Job that the Job controller has started."""
    w = world(runPolicy=policy or BOTH)
    w.settle()
    start(w)
    return w


def start(w: World) -> None:
    w.find("Job", JOB)["status"] = {"startTime": timestamp(w.now), "active": 1}


def says(w: World) -> None:
    """The pod reports where it is."""
    times = {"started_at": w.now, "last_updated": w.now}
    w.report(JOB, Report(phase=Phase.RUNNING, progress=Progress(step=3, total_steps=9), **times))


@pytest.mark.parametrize(("speaks", "minutes", "reason"), [(False, 10, "Start"), (True, 30, "Stall")])
def test_an_attempt_without_a_sign_of_life_is_stopped_and_the_next_one_waits_until_it_is_gone(
    speaks: bool, minutes: int, reason: str
) -> None:
    w = started()
    if speaks:
        says(w)
    before = w.plan()
    w.pass_time(timedelta(minutes=minutes))
    assert before.wake_at == w.now

    plan = w.step()

    assert [deletion.key for deletion in plan.delete] == [("Job", JOB)]
    assert plan.status["failure"]["reason"] == f"{reason}DeadlineExceeded"
    w.pass_time(timedelta(minutes=1))
    w.step()
    assert w.names("Job") == [JOB], "its pods still end: two gangs would write into one workspace"
    w.collect()
    w.settle()
    assert w.names("Job") == ["demo-sft-a2"]
    assert w.resource["status"]["restarts"] == 1


def test_silence_counts_as_a_restart_and_the_last_one_stalls_the_job() -> None:
    w = started(startDeadline="10m", maxRestarts=0)
    w.pass_time(timedelta(minutes=10))

    plan = w.settle()

    assert (statuses(plan)["Stalled"], statuses(plan)["reason"]) == ("True", "StartDeadlineExceeded")
    assert "See the pods' events" in condition(plan, "Stalled")["message"]
    assert w.names("Job") == []


def test_every_report_begins_the_time_anew() -> None:
    w = started()
    for _ in range(5):
        w.pass_time(timedelta(minutes=29))
        says(w)
        assert w.settle().status["stages"][0]["attempt"] == 1


def test_waiting_in_a_queue_is_not_counted() -> None:
    w = started()
    w.find("Job", JOB)["status"] = {"conditions": [{"type": "Suspended", "status": "True"}]}
    w.pass_time(timedelta(hours=20))

    assert statuses(w.settle())["reason"] == "Queued"


def test_a_job_that_was_suspended_is_not_silent_for_what_it_said_before() -> None:
    w = started()
    says(w)
    w.resource["spec"]["suspend"] = True
    w.settle()
    w.pass_time(timedelta(hours=2))
    w.resource["spec"]["suspend"] = False
    w.settle()
    start(w)

    plan = w.settle()

    assert plan.wake_at == w.now + timedelta(minutes=30)
    assert w.names("Job") == [JOB]


def test_suspending_while_a_silent_attempt_ends_is_told_and_starts_nothing() -> None:
    w = started()
    w.pass_time(timedelta(minutes=10))
    w.step()
    w.resource["spec"]["suspend"] = True

    assert statuses(w.settle())["reason"] == "Suspended"
    assert w.names("Job") == []


def test_without_deadlines_silence_is_nothing() -> None:
    w = started(maxRestarts=0)
    says(w)
    w.pass_time(timedelta(days=9))

    assert statuses(w.settle())["reason"] == "StageRunning"
