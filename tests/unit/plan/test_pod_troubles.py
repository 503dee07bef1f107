"""What a user reads when a pod cannot start or falls: the reason, the pod, its node, the exit code, and what to do."""

import json
from datetime import timedelta
from typing import Any

import pytest
from unit.plan.serving_world import build_head
from unit.plan.serving_world import world as serving
from unit.plan.world import DIGEST, World, condition, resource, statuses

from lore_core.jobs import Failure, Phase, Report
from lore_operator.api.reasons import REASONS
from lore_operator.api.v1alpha1.train_job import TrainJobStatus
from lore_operator.plan import trainjob
from lore_operator.plan.conditions import timestamp

SPEC: dict[str, Any] = {
    "baseModel": {"uri": "pvc://lore/base", "digest": DIGEST},
    "data": {"uri": "pvc://lore/pairs", "digest": DIGEST},
    "ruleSet": {"uri": "pvc://lore/rules", "digest": DIGEST},
    "workspace": {"uri": "pvc://lore/runs"},
    "stages": [{"name": "sft", "sft": {}}],
    "runPolicy": {"maxRestarts": 0},
}
JOB = "demo-sft-a1"
DRAINED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "node drained"}
NO_GPU = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 Insufficient memory. preemption: none"


def started(**changes: Any) -> World:
    w = World(trainjob, resource("RelevanceTrainJob", "demo", json.loads(json.dumps(SPEC)) | changes))
    w.settle()
    return w


def add_pod(w: World, status: dict[str, Any], name: str = f"{JOB}-0-x") -> None:
    labels = w.find("Job", JOB)["metadata"]["labels"] | {"batch.kubernetes.io/job-name": JOB}
    pod = {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": {"nodeName": "node-1"}}
    w.add(pod | {"status": status})


def waits(reason: str, kind: str = "containerStatuses") -> dict[str, Any]:
    return {kind: [{"name": "lore", "state": {"waiting": {"reason": reason}}}]}


def ended(code: int, reason: str = "Error", name: str = "lore") -> list[dict[str, Any]]:
    return [{"name": name, "state": {"terminated": {"exitCode": code, "reason": reason, "message": "last words"}}}]


def unscheduled(message: str) -> dict[str, Any]:
    return {"conditions": [{"type": "PodScheduled", "status": "False", "message": message}]}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint"), "Unschedulable"),
        (unscheduled(NO_GPU), "InsufficientCapacity"),
        (unscheduled("0/1 nodes are available: 1 Too many pods"), "InsufficientCapacity"),
        (waits("ImagePullBackOff"), "ImagePullBackOff"),
        (waits("CreateContainerConfigError"), "CreateContainerConfigError"),
        (waits("ErrImagePull", "initContainerStatuses"), "ErrImagePull"),
    ],
)
def test_a_pod_that_cannot_start_is_the_reason_and_the_failure_with_what_to_do(
    status: dict[str, Any], reason: str
) -> None:
    w = started()
    add_pod(w, status)

    plan = w.settle()

    failure = TrainJobStatus.model_validate(plan.status).failure
    assert statuses(plan)["reason"] == reason
    assert failure is not None
    assert (failure.reason, failure.stage, failure.attempt, failure.pod) == (reason, "sft", 1, f"{JOB}-0-x")
    assert REASONS[reason].remedy in failure.message


def test_a_lack_of_capacity_names_the_resources() -> None:
    w = started()
    add_pod(w, unscheduled(NO_GPU))

    ready = condition(w.settle(), "Ready")

    assert ready is not None
    assert "needs more memory, nvidia.com/gpu than any node has free" in ready["message"]


def test_a_failure_that_only_hindered_the_start_goes_when_the_pod_runs() -> None:
    w = started()
    add_pod(w, waits("ImagePullBackOff"))
    w.settle()
    add_pod(w, {"phase": "Running", "containerStatuses": [{"name": "lore", "state": {"running": {}}}]})

    plan = w.settle()

    assert ("failure" in plan.status, statuses(plan)["reason"]) == (False, "StageRunning")


def test_a_pod_that_only_starts_is_no_failure() -> None:
    w = started()
    add_pod(w, waits("ContainerCreating"))

    plan = w.settle()

    assert (statuses(plan)["reason"], "failure" in plan.status) == ("PodStarting", False)


def test_a_pod_that_is_hindered_is_named_before_one_that_only_starts() -> None:
    w = started()
    add_pod(w, waits("ContainerCreating"), "a")
    add_pod(w, waits("ErrImagePull"), "b")

    assert statuses(w.settle())["reason"] == "ErrImagePull"


def test_a_job_without_a_pod_is_told_after_half_a_minute() -> None:
    w = started()
    early = w.plan()
    w.pass_time(timedelta(seconds=30))

    late = w.settle()

    assert (statuses(early)["reason"], early.wake_at) == ("StageRunning", w.now)
    assert statuses(late)["reason"] == "PodsNotCreated"
    assert "quota" in late.status["failure"]["message"]


def test_a_job_that_a_queue_holds_is_queued_and_not_failed() -> None:
    w = started(runner={"queueName": "gpu"})
    held = {"type": "Suspended", "status": "True", "lastTransitionTime": timestamp(w.now)}
    w.find("Job", JOB)["status"] = {"conditions": [held]}
    since = timestamp(w.now)
    w.pass_time(timedelta(hours=1))

    plan = w.settle()

    assert (statuses(plan)["reason"], "failure" in plan.status) == ("Queued", False)
    assert f"suspended since {since}" in condition(plan, "Reconciling")["message"]


def test_what_a_queue_takes_back_counts_as_a_disruption_and_waits_in_the_queue_again() -> None:
    """Kueue suspends the Job, its pods save and end by SIGTERM, and the Job's failure policy takes that for a failure."""
    w = started(runner={"queueName": "gpu"}, runPolicy={"maxRestarts": 0})
    add_pod(w, {"phase": "Failed", "containerStatuses": ended(143)})
    w.end_job(JOB, "Failed", "Container lore failed with exit code 143", "PodFailurePolicy")
    w.find("Job", JOB)["status"]["conditions"].append({"type": "Suspended", "status": "True"})

    assert w.settle().status["failure"]["reason"] == "Disrupted"
    w.pass_time(timedelta(minutes=1))
    w.settle()

    (again,) = [name for name in w.names("Job") if name != JOB]
    assert w.find("Job", again)["spec"]["suspend"] is True


def taken_back(w: World, **status: Any) -> None:
    """What Kueue and the Job controller leave of a Job whose pod ended by SIGTERM: it is to fail, and has no `startTime`."""
    add_pod(w, {"phase": "Failed", "containerStatuses": ended(143)})
    failing = {"type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 143"}
    resumed = {"type": "Suspended", "status": "False", "reason": "JobResumed", "lastTransitionTime": timestamp(w.now)}
    found = [resumed, {**failing, "lastTransitionTime": timestamp(w.now)}]
    w.find("Job", JOB)["status"] = {"conditions": found, "ready": 0, "terminating": 0, **status}


def test_a_job_that_hangs_half_failed_since_a_queue_took_it_back_is_removed_and_tried_again_uncounted() -> None:
    """The API server allows no finished Job without `startTime`, which Kueue clears: it would hang until it is let in again."""
    w = started(runner={"queueName": "gpu"}, runPolicy={"maxRestarts": 0})
    taken_back(w)

    assert w.step().status["failure"]["reason"] == "Disrupted"
    assert w.find("Job", JOB)["metadata"]["deletionTimestamp"], "else its place in the queue is before the next one's"
    w.collect()
    w.pass_time(timedelta(minutes=1))
    w.settle()

    (again,) = w.names("Job")
    assert again != JOB
    assert w.find("Job", again)["spec"]["suspend"] is True


def test_a_job_that_was_let_in_again_only_to_fail_of_its_first_time_is_a_disruption_too() -> None:
    """Where the operator was away meanwhile: the Job has a start after its failure."""
    w = started(runner={"queueName": "gpu"}, runPolicy={"maxRestarts": 0})
    taken_back(w, startTime=timestamp(w.now + timedelta(minutes=9)))
    stored = w.find("Job", JOB)["status"]["conditions"]
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 143"}
    stored.append({**failed, "lastTransitionTime": timestamp(w.now + timedelta(minutes=9))})
    w.pass_time(timedelta(minutes=10))

    plan = w.step()

    assert (plan.status["failure"]["reason"], statuses(plan)["Reconciling"]) == ("Disrupted", "True")


def test_a_job_that_is_about_to_fail_by_itself_is_waited_for() -> None:
    w = started(runPolicy={"maxRestarts": 0})
    taken_back(w, startTime=timestamp(w.now - timedelta(minutes=1)))

    assert "failure" not in w.step().status


def test_a_rank_that_outlives_the_pod_that_was_taken_does_not_make_it_a_failure() -> None:
    w = started(runPolicy={"maxRestarts": 0})
    w.report(
        JOB, Report(phase=Phase.FAILED, failure=Failure(reason="InternalError", message="connection closed by peer"))
    )
    w.end_job(JOB, "Failed", "Pod demo has condition DisruptionTarget", "PodFailurePolicy")

    plan = w.settle()

    assert (plan.status["failure"]["reason"], statuses(plan)["reason"]) == ("Disrupted", "BackingOff")


@pytest.mark.parametrize(
    ("status", "reason", "code", "words"),
    [
        ({"containerStatuses": ended(137, "OOMKilled")}, "OOMKilled", 137, "limits.memory"),
        ({"containerStatuses": ended(137)}, "Killed", 137, "node's events"),
        ({"containerStatuses": ended(139)}, "PodFailed", 139, "last words"),
        ({"containerStatuses": ended(128, "StartError")}, "StartError", 128, "this project's"),
        ({"initContainerStatuses": ended(1, name="setup")}, "PodFailed", 1, "container setup: last words"),
        ({"reason": "Evicted", "message": "low on memory", "containerStatuses": ended(137)}, "Evicted", 137, "low on"),
        ({"reason": "DeadlineExceeded", "message": "too long"}, "DeadlineExceeded", None, "too long"),
    ],
    ids=["over its limit", "killed", "crashed", "no such command", "init container", "evicted", "deadline"],
)
def test_a_pod_that_fell_is_named_with_node_exit_code_reason_and_what_to_do(
    status: dict[str, Any], reason: str, code: int | None, words: str
) -> None:
    w = started()
    add_pod(w, {"phase": "Failed", **status})
    w.end_job(JOB, "Failed", "exit code", "PodFailurePolicy")

    failure = TrainJobStatus.model_validate(w.settle().status).failure

    assert failure is not None
    assert (failure.reason, failure.pod, failure.node) == (reason, f"{JOB}-0-x", "node-1")
    assert failure.exit_code == code
    assert words in failure.message
    assert REASONS[reason].remedy in failure.message


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (
            {"conditions": [DRAINED], "containerStatuses": ended(143)},
            "Disrupted",
            "EvictionByEvictionAPI: node drained",
        ),
        ({"reason": "Evicted", "message": "low on disk", "conditions": [DRAINED]}, "Evicted", "low on disk"),
    ],
    ids=["drained", "evicted by the kubelet"],
)
def test_what_took_a_pod_away_is_told_and_not_counted(status: dict[str, Any], reason: str, words: str) -> None:
    w = started()
    add_pod(w, {"phase": "Failed", **status})
    w.end_job(JOB, "Failed", "Pod x has condition DisruptionTarget matching FailJob rule", "PodFailurePolicy")
    told = w.settle().status["failure"]
    w.pass_time(timedelta(minutes=5))
    w.settle()

    assert told["reason"] == reason
    assert words in told["message"]
    assert w.names("Job") == [JOB, "demo-sft-a2"]


def test_a_predictor_that_cannot_start_is_the_reason_of_the_deployment() -> None:
    w = serving()
    w.settle()
    build_head(w)
    w.settle()
    backend = w.backends()[0]
    labels = {"app.kubernetes.io/managed-by": "lore-operator", "serving.kserve.io/inferenceservice": backend}
    labels |= {"lore-platform.io/kind": "RelevanceDeployment", "lore-platform.io/name": "search"}
    w.add({"kind": "Pod", "metadata": {"name": "p", "labels": labels}, "status": waits("ErrImagePull")})

    plan = w.settle()

    assert (statuses(plan)["reason"], plan.status["failure"]["pod"]) == ("ErrImagePull", "p")
    assert "imagePullSecrets" in plan.status["failure"]["message"]
