"""A train job whose pods JobSet runs: the Job that JobSet makes tells how an attempt stands, the JobSet is what is ours."""

from datetime import timedelta
from typing import Any

import pytest
from unit.plan.test_trainjob import world
from unit.plan.world import World, condition, statuses

from lore_operator.plan.conditions import timestamp
from lore_operator.plan.types import Object

JOBSET = "demo-sft-a1"
MEMBER = f"{JOBSET}-n-0"


def started(**changes: Any) -> World:
    """A JobSet whose controller has made its Job."""
    w = world(workload="JobSet", **changes)
    w.settle()
    make(w, JOBSET)
    w.settle()
    return w


def make(w: World, name: str) -> Object:
    """What JobSet's controller does."""
    jobset = w.find("JobSet", name)
    (member,) = jobset["spec"]["replicatedJobs"]
    owner = {"kind": "JobSet", "name": name, "uid": jobset["metadata"]["uid"], "controller": True}
    metadata = {"name": f"{name}-{member['name']}-0", "namespace": "team", "ownerReferences": [owner]}
    template = member["template"]
    return w.add(
        {"apiVersion": "batch/v1", "kind": "Job", **template, "metadata": {**template["metadata"], **metadata}}
    )


def say(w: World, type_: str) -> None:
    """What JobSet says of itself."""
    told = {"type": type_, "status": "True", "reason": "FailedJobs", "lastTransitionTime": timestamp(w.now)}
    w.find("JobSet", JOBSET)["status"] = {"conditions": [told]}


def test_a_stage_is_done_when_the_job_within_is_and_the_next_one_starts() -> None:
    w = started()
    w.report_success(JOBSET)
    w.end_job(MEMBER)
    say(w, "Completed")
    w.settle()

    assert w.names("JobSet") == [JOBSET, "demo-student-a1"]
    assert w.resource["status"]["stages"][0]["phase"] == "Succeeded"


def test_a_pod_that_fails_starts_another_jobset_and_names_the_pod() -> None:
    w = started()
    w.fail_pod(MEMBER, reason="OOMKilled", exit_code=137)
    say(w, "Failed")

    failure = w.settle().status["failure"]
    w.pass_time(timedelta(minutes=1))
    w.settle()

    assert (failure["reason"], failure["pod"]) == ("OOMKilled", f"{MEMBER}-0-x")
    assert w.names("JobSet") == [JOBSET, "demo-sft-a2"]


def test_what_the_cluster_took_away_is_known_by_the_job_within_and_not_counted() -> None:
    w = started(runPolicy={"maxRestarts": 0})
    w.end_job(MEMBER, "Failed", "Pod has condition DisruptionTarget", "PodFailurePolicy")
    say(w, "Failed")

    assert w.settle().status["failure"]["reason"] == "Disrupted"
    w.pass_time(timedelta(minutes=1))
    w.settle()
    assert "demo-sft-a2" in w.names("JobSet")


def test_a_jobset_that_says_failed_before_its_job_does_is_waited_for() -> None:
    w = started(runPolicy={"maxRestarts": 0})
    say(w, "Failed")

    assert statuses(w.settle())["reason"] == "StageRunning"


@pytest.mark.parametrize("change", [{"suspend": True}, {"runToken": "again"}])
def test_stopping_deletes_the_jobset_and_nothing_that_is_jobsets(change: dict[str, Any]) -> None:
    w = started()
    w.resource["spec"] |= change

    plan = w.step()

    assert [deletion.key for deletion in plan.delete] == [("JobSet", JOBSET)]


def test_a_strangers_jobset_is_a_conflict() -> None:
    w = world(workload="JobSet")
    w.add({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": JOBSET}})

    assert statuses(w.settle())["reason"] == "NameConflict"


def test_a_strangers_job_under_the_members_name_is_not_taken_for_it() -> None:
    w = world(workload="JobSet")
    w.settle()
    make(w, JOBSET)["metadata"]["ownerReferences"][0]["uid"] = "another"
    w.end_job(MEMBER, "Failed", "not ours")

    assert statuses(w.settle())["reason"] == "StageRunning"


def test_a_jobset_whose_controller_does_not_run_is_told() -> None:
    w = world(workload="JobSet")
    w.settle()
    w.pass_time(timedelta(seconds=30))

    plan = w.settle()

    assert statuses(plan)["reason"] == "PodsNotCreated"
    assert "whether JobSet's controller runs" in condition(plan, "Reconciling")["message"]


def test_a_jobset_that_a_queue_holds_is_queued() -> None:
    w = world(workload="JobSet", runner={"queueName": "gpu"})
    w.settle()
    say(w, "Suspended")

    plan = w.settle()

    assert statuses(plan)["reason"] == "Queued"
    assert f"JobSet {JOBSET} is suspended since {timestamp(w.now)}" in condition(plan, "Reconciling")["message"]


def test_an_ended_run_removes_its_jobsets_after_its_time() -> None:
    w = started(stages=[{"name": "sft", "sft": {}}], runPolicy={"ttlAfterFinished": "1h"})
    w.report_success(JOBSET)
    w.end_job(MEMBER)
    w.settle()
    w.pass_time(timedelta(hours=2))
    w.settle()

    assert w.names("JobSet") == []
