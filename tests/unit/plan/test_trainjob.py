"""What a RelevanceTrainJob does, from its first pod to the published model."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from unit.plan.world import DIGEST, SETTINGS, World, condition, config_of, digest, resource, statuses

from lore_core.jobs import Failure, Phase, Report
from lore_operator.api.v1alpha1.train_job import TrainJobStatus
from lore_operator.children.settings import Settings
from lore_operator.plan import trainjob
from lore_operator.plan.types import ObjectKey

SPEC: dict[str, Any] = {
    "baseModel": {"uri": "s3://models/base", "digest": DIGEST, "secretRef": {"name": "store"}},
    "data": {"uri": "pvc://data/pairs", "digest": DIGEST},
    "ruleSet": {"uri": "pvc://data/rules", "digest": DIGEST},
    "workspace": {"uri": "pvc://lore/runs"},
    "runPolicy": {"maxRestarts": 1},
    "stages": [
        {"name": "sft", "sft": {}, "publish": {"as": "lore"}},
        {
            "name": "student",
            "distill": {"from": "sft", "base": {"uri": "pvc://data/minilm"}},
            "publish": {"as": "lore-student"},
        },
    ],
}


def world(**changes: Any) -> World:
    return World(trainjob, resource("RelevanceTrainJob", "demo", json.loads(json.dumps(SPEC)) | changes))


def edit(where: World, **changes: Any) -> None:
    where.resource["spec"] |= changes
    where.resource["metadata"]["generation"] += 1


def finished() -> World:
    w = world()
    w.settle()
    w.succeed("demo-sft-a1", "a")
    w.settle()
    w.succeed("demo-student-a1", "b")
    w.settle()
    return w


def test_later_stages_train_on_the_pairs_that_a_teacher_gave_traces_to() -> None:
    traces = {"name": "traces", "synthesize": {"teacher": {"url": "https://teacher/v1", "model": "large"}}}
    w = world(stages=[traces, *SPEC["stages"]])
    w.settle()
    asked = config_of(w, "demo-traces-a1")
    w.succeed("demo-traces-a1", "c")
    w.settle()
    trained = config_of(w, "demo-sft-a1")

    assert asked["data"]["uri"] == SPEC["data"]["uri"]
    assert trained["data"]["digest"] == digest("c")
    assert trained["baseModel"]["uri"] == SPEC["baseModel"]["uri"]


def test_a_new_job_starts_its_first_stage_and_nothing_else() -> None:
    w = world()

    plan = w.settle()

    assert w.names("Job") == ["demo-sft-a1"]
    assert statuses(plan) == {"Ready": "False", "Reconciling": "True", "reason": "StageRunning"}


def test_one_attempt_costs_three_creates_beside_the_access_that_all_attempts_share() -> None:
    w = world()
    w.settle()

    own = [key for key in w.created if key.kind not in ("ServiceAccount", "Role", "RoleBinding")]
    assert own == [
        ObjectKey("ConfigMap", "demo-sft-a1"),
        ObjectKey("Job", "demo-sft-a1"),
        ObjectKey("ConfigMap", "demo-sft-a1-report"),
    ]


def test_the_second_stage_is_trained_from_what_the_first_one_made() -> None:
    w = world()
    w.settle()
    w.succeed("demo-sft-a1", "a")
    w.settle()

    teacher = config_of(w, "demo-student-a1")["spec"]["teacher"]
    assert teacher == {"uri": "pvc://lore/runs/demo-sft-a1", "digest": digest("a")}


def test_a_later_sft_stage_starts_from_the_earlier_one() -> None:
    w = world(stages=[{"name": "one", "sft": {}}, {"name": "two", "sft": {}}])
    w.settle()
    w.succeed("demo-one-a1", "a")
    w.settle()

    assert config_of(w, "demo-two-a1")["baseModel"]["digest"] == digest("a")


def test_a_finished_job_says_complete_and_has_published_its_models() -> None:
    w = finished()

    plan = w.plan()
    assert statuses(plan) == {"Ready": "True", "Complete": "True", "reason": "Complete"}
    assert w.names("RelevanceModel") == ["lore", "lore-student"]
    assert [stage["published"] for stage in plan.status["stages"]] == ["lore", "lore-student"]


def test_a_published_model_is_bound_to_what_the_stage_made_and_outlives_the_job() -> None:
    model = finished().find("RelevanceModel", "lore-student")

    assert (model["spec"]["digest"], model["spec"]["role"]) == (digest("b"), "Classifier")
    assert model["spec"]["lineage"]["trainJob"] == "demo"
    assert "ownerReferences" not in model["metadata"]


def test_a_causal_student_is_published_as_what_says_its_label_first() -> None:
    w = world(stages=[{**SPEC["stages"][1], "distill": {"student": "Causal", "base": {"uri": "pvc://data/small"}}}])
    w.settle()
    assert config_of(w, "demo-student-a1")["spec"]["student"] == "Causal"
    w.succeed("demo-student-a1", "b")
    w.settle()
    spec = w.find("RelevanceModel", "lore-student")["spec"]
    assert (spec["role"], spec["contract"]) == ("Generative", {"layout": "LabelFirst"})


def test_a_two_tower_is_published_as_one() -> None:
    w = world(stages=[{**SPEC["stages"][1], "distill": {"student": "TwoTower", "base": {"uri": "pvc://data/minilm"}}}])
    w.settle()
    assert config_of(w, "demo-student-a1")["spec"]["student"] == "TwoTower"
    w.succeed("demo-student-a1", "b")
    w.settle()
    spec = w.find("RelevanceModel", "lore-student")["spec"]
    assert (spec["role"], "contract" in spec) == ("TwoTower", False)


def test_a_quantised_variant_is_a_model_of_its_own_made_of_the_full_one() -> None:
    small = {"name": "small", "quantize": {"from": "sft"}, "publish": {"as": "lore-int8"}}
    w = world(stages=[SPEC["stages"][0], small], nodes={"count": 2, "gpusPerNode": 4})
    w.settle()
    w.succeed("demo-sft-a1", "a")
    w.settle()
    job = w.find("Job", "demo-small-a1")["spec"]
    assert job["template"]["spec"]["containers"][0]["command"][:2] == ["lore", "quantize"]
    assert job["completions"] == 1
    assert config_of(w, "demo-small-a1")["baseModel"]["digest"] == digest("a")
    w.succeed("demo-small-a1", "c")
    w.settle()
    spec = w.find("RelevanceModel", "lore-int8")["spec"]
    full = w.find("RelevanceModel", "lore")["spec"]
    assert (spec["digest"], spec["role"], spec["contract"]) == (digest("c"), "Generative", full["contract"])
    made_of = {"name": "baseModel", "uri": full["uri"], "digest": full["digest"]}
    assert spec["lineage"]["inputs"] == [made_of]


def test_the_status_follows_the_crd() -> None:
    w = world(nodes={"count": 2})
    for job, letter in (("demo-sft-a1", "a"), ("demo-student-a1", "b")):
        TrainJobStatus.model_validate(w.settle().status)
        w.succeed(job, letter, summary={"pairs": 12, "loss": "0.25", "curve": [1, 2]})
    status = TrainJobStatus.model_validate(w.settle().status)

    assert {metric.name: metric.value for metric in status.stages[0].metrics} == {"pairs": "12", "loss": "0.25"}


def test_a_running_stage_shows_what_it_measured_and_its_gpus_hours() -> None:
    w = world(nodes={"count": 2, "gpusPerNode": 4})
    w.settle()
    began, now = w.now, w.now + timedelta(minutes=30)
    w.report("demo-sft-a1", Report(phase=Phase.RUNNING, measured={"loss": "0.5"}, started_at=began, last_updated=now))
    stages = w.settle().status["stages"]

    assert TrainJobStatus.model_validate(w.resource["status"])
    assert stages[0]["metrics"] == [{"name": "loss", "value": "0.5"}]
    assert stages[0]["gpuHours"] == "4.000"


def test_a_stage_without_gpus_has_no_gpu_hours() -> None:
    w = world()
    w.settle()

    assert "gpuHours" not in w.resource["status"]["stages"][0]


def test_a_published_model_that_was_deleted_is_not_created_again() -> None:
    w = finished()
    del w.objects[ObjectKey("RelevanceModel", "lore")]
    del w.resource["status"]

    w.settle()

    assert w.names("RelevanceModel") == ["lore-student"]


def test_a_published_model_is_never_written_again() -> None:
    w = finished()
    w.find("RelevanceModel", "lore")["metadata"]["labels"] = {"edited": "by hand"}

    assert not w.plan().writes


@pytest.mark.parametrize(
    "lineage",
    [{"trainJob": "another", "stage": "sft"}, {"trainJob": "demo", "stage": "sft", "inputKey": DIGEST}],
    ids=["made by another job", "made from other inputs"],
)
def test_a_name_taken_by_another_model_is_refused_before_a_pod_runs(lineage: dict[str, str]) -> None:
    w = world()
    spec = {"uri": "s3://models/x", "digest": digest("f"), "role": "Generative", "lineage": lineage}
    w.add(resource("RelevanceModel", "lore", spec))

    plan = w.settle()

    assert statuses(plan) == {"Ready": "False", "Stalled": "True", "reason": "PublishConflict"}
    assert w.names("Job") == []


def test_a_model_that_appears_under_the_name_while_training_is_not_taken_over() -> None:
    w = world()
    w.settle()
    w.add(resource("RelevanceModel", "lore", {"uri": "s3://x", "digest": digest("f"), "role": "Generative"}))
    w.succeed("demo-sft-a1", "a")

    plan = w.settle()

    assert statuses(plan)["reason"] == "PublishConflict"
    assert w.find("RelevanceModel", "lore")["spec"]["digest"] == digest("f")


def test_an_equal_model_is_adopted() -> None:
    first = finished()
    again = world()
    again.resource["metadata"]["uid"] = "a new life"
    for name in ("lore", "lore-student"):
        again.add(first.find("RelevanceModel", name))
    del again.objects[ObjectKey("RelevanceModel", "lore-student")]
    again.settle()
    again.succeed("demo-sft-a1", "a", reused=True)

    plan = again.settle()

    assert statuses(plan)["reason"] == "StageRunning"
    assert plan.status["stages"][0]["reused"] is True


def test_a_pod_that_dies_is_tried_again_as_the_next_attempt() -> None:
    w = world()
    w.settle()
    w.fail_pod("demo-sft-a1", "OOMKilled", 137)
    w.settle()
    w.pass_time(timedelta(seconds=10))

    plan = w.settle()

    assert w.names("Job") == ["demo-sft-a1", "demo-sft-a2"]
    assert plan.status["restarts"] == 1
    assert plan.status["failure"] | {"message": ""} == {
        "stage": "sft",
        "attempt": 1,
        "reason": "OOMKilled",
        "message": "",
        "pod": "demo-sft-a1-0-x",
        "node": "node-1",
        "exitCode": 137,
    }


def test_the_next_attempt_waits_a_little_and_says_so() -> None:
    w = world()
    w.settle()
    w.fail_pod("demo-sft-a1")

    plan = w.settle()

    assert statuses(plan)["reason"] == "BackingOff"
    assert plan.wake_at == w.now + timedelta(seconds=10)


def test_after_the_last_attempt_the_job_stalls_with_the_reason_and_what_to_do() -> None:
    w = world()
    for attempt in (1, 2):
        w.settle()
        w.pass_time(timedelta(minutes=5))
        w.settle()
        w.fail_pod(f"demo-sft-a{attempt}", "OOMKilled", 137)

    plan = w.settle()

    assert statuses(plan) == {"Ready": "False", "Stalled": "True", "reason": "OOMKilled"}
    ready = condition(plan, "Ready")
    assert ready is not None
    assert "runner.resources.limits.memory" in ready["message"]
    assert w.names("Job") == ["demo-sft-a1", "demo-sft-a2"]


def test_input_that_is_wrong_is_not_tried_again_and_file_line_and_field_are_named() -> None:
    w = world()
    w.settle()
    failure = Failure(reason="UnknownLabel", message="label 'L9'", file="train.jsonl", line=12, field="label")
    w.report("demo-sft-a1", Report(phase=Phase.FAILED, failure=failure))
    w.fail_pod("demo-sft-a1", exit_code=1)

    plan = w.settle()

    ready = condition(plan, "Ready")
    assert ready is not None
    assert ready["reason"] == "UnknownLabel"
    assert "file train.jsonl, line 12, field label, pod demo-sft-a1-0-x on node-1, exit code 1" in ready["message"]
    assert w.names("Job") == ["demo-sft-a1"]


def test_a_disruption_does_not_use_up_the_restarts() -> None:
    w = world(runPolicy={"maxRestarts": 0})
    w.settle()
    w.end_job("demo-sft-a1", "Failed", "Pod x has condition DisruptionTarget matching FailJob rule", "PodFailurePolicy")
    w.settle()
    w.pass_time(timedelta(minutes=5))

    w.settle()

    assert w.names("Job") == ["demo-sft-a1", "demo-sft-a2"]


def test_a_failure_stays_known_when_job_and_pods_are_gone() -> None:
    w = world(runPolicy={"maxRestarts": 0})
    w.settle()
    w.fail_pod("demo-sft-a1", "OOMKilled", 137)
    before = w.settle().status
    for key in [key for key in w.objects if key.kind in ("Job", "Pod")]:
        del w.objects[key]
    del w.resource["status"]

    after = w.settle().status

    assert after["failure"] == before["failure"]
    assert w.names("Job") == []


def test_only_the_report_may_be_made_later() -> None:
    later = [item.key for item in world().plan().apply if item.later]

    assert later == [ObjectKey("ConfigMap", "demo-sft-a1-report")]


def test_a_report_that_is_still_missing_is_made_without_a_look_at_everything() -> None:
    w = world()
    w.settle()
    del w.objects[ObjectKey("ConfigMap", "demo-sft-a1-report")]

    assert [(item.key.name, item.on_live) for item in w.plan().apply] == [("demo-sft-a1-report", False)]


def test_a_job_that_failed_before_its_report_was_there_has_its_failure_noted() -> None:
    w = world(runPolicy={"maxRestarts": 0})
    w.settle()
    del w.objects[ObjectKey("ConfigMap", "demo-sft-a1-report")]
    w.fail_pod("demo-sft-a1", "OOMKilled", 137)

    before = w.settle().status
    for key in [key for key in w.objects if key.kind in ("Job", "Pod")]:
        del w.objects[key]
    del w.resource["status"]

    assert before["failure"]["reason"] == "OOMKilled"
    assert w.settle().status["failure"] == before["failure"]


def test_a_job_that_ends_without_a_report_is_given_a_minute_then_failed() -> None:
    w = world(runPolicy={"maxRestarts": 0})
    w.settle()
    w.end_job("demo-sft-a1")

    waits = w.settle()
    w.pass_time(timedelta(seconds=61))
    ends = w.settle()

    assert (statuses(waits)["reason"], statuses(ends)["reason"]) == ("StageRunning", "ReportMissing")


def test_an_edit_after_the_start_is_shown_as_drift_and_changes_nothing() -> None:
    w = world()
    w.settle()
    edit(w, data={"uri": "pvc://data/other"})
    w.succeed("demo-sft-a1", "a")

    plan = w.settle()

    assert statuses(plan)["SpecDrift"] == "True"
    assert config_of(w, "demo-student-a1")["data"]["uri"] == "pvc://data/pairs"


def test_taking_an_edit_back_ends_the_drift() -> None:
    w = world()
    w.settle()
    original = w.resource["spec"]["data"]
    edit(w, data={"uri": "pvc://data/other"})
    w.settle()
    edit(w, data=original)

    assert "SpecDrift" not in statuses(w.settle())


def test_an_operator_upgrade_changes_nothing_that_runs_and_nothing_that_follows() -> None:
    w = world()
    w.settle()
    w.succeed("demo-sft-a1", "a")
    newer = w.planner.plan(w.resource, w.observed(), w.now, upgraded())

    (job,) = (item.object for item in newer.apply if item.object["kind"] == "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "trainer@sha256:1"
    assert "SpecDrift" not in statuses(newer)
    assert newer.status["renderedBy"] == SETTINGS.version


def test_who_rendered_the_newest_attempt_is_told_also_within_one_second() -> None:
    w = world()
    w.settle()
    w.succeed("demo-sft-a1", "a")
    w.settings = upgraded()

    assert w.settle().status["renderedBy"] == "2.0"


def upgraded() -> Settings:
    return replace(SETTINGS, images=replace(SETTINGS.images, trainer="trainer@sha256:9"), version="2.0")


def test_a_new_run_token_starts_a_new_run_with_the_spec_as_it_is_now() -> None:
    w = finished()
    edit(w, runToken="again", data={"uri": "pvc://data/other"}, stages=[{"name": "sft", "sft": {}}])

    plan = w.settle()

    assert config_of(w, "demo-sft-a2")["data"]["uri"] == "pvc://data/other"
    assert (plan.status["restarts"], statuses(plan)["reason"]) == (0, "StageRunning")


def test_a_new_run_with_equal_inputs_asks_for_the_same_artifact() -> None:
    pinned = {"name": "sft", "sft": {}}
    w = world(stages=[pinned])
    w.settle()
    w.succeed("demo-sft-a1", "a")
    w.settle()
    edit(w, runToken="again")
    w.settle()

    assert config_of(w, "demo-sft-a2")["inputKey"] == config_of(w, "demo-sft-a1")["inputKey"]


def test_inputs_without_a_digest_are_never_reused_by_another_run() -> None:
    w = world(stages=[{"name": "sft", "sft": {}}], data={"uri": "pvc://data/pairs"})
    w.settle()
    w.succeed("demo-sft-a1", "a")
    w.settle()
    edit(w, runToken="again")
    w.settle()

    assert config_of(w, "demo-sft-a2")["inputKey"] != config_of(w, "demo-sft-a1")["inputKey"]


def test_a_new_run_waits_until_the_old_gang_is_gone() -> None:
    w = world()
    w.settle()
    edit(w, runToken="again")

    waits = w.step()
    w.collect()
    w.settle()

    assert statuses(waits)["reason"] == "AwaitingDeletion"
    assert w.names("Job") == ["demo-sft-a2"]


def test_suspending_stops_the_pods_and_keeps_the_attempt() -> None:
    w = world()
    w.settle()
    edit(w, suspend=True)

    plan = w.settle()

    assert statuses(plan) == {"Ready": "Unknown", "reason": "Suspended"}
    assert w.names("Job") == []


def test_resuming_goes_on_with_the_same_attempt() -> None:
    w = world()
    w.settle()
    edit(w, suspend=True)
    w.settle()
    edit(w, suspend=False)

    plan = w.settle()

    assert w.names("Job") == ["demo-sft-a1"]
    assert plan.status["restarts"] == 0


def test_a_job_created_suspended_starts_nothing() -> None:
    w = world(suspend=True)

    w.settle()

    assert w.created == []


def test_a_strangers_object_under_a_childs_name_is_left_alone() -> None:
    w = world()
    w.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "demo-sft-a1"}, "data": {"theirs": "1"}})

    plan = w.settle()

    assert statuses(plan) == {"Ready": "False", "Stalled": "True", "reason": "NameConflict"}
    assert w.find("ConfigMap", "demo-sft-a1")["data"] == {"theirs": "1"}
    assert w.names("Job") == []


def test_children_of_a_deleted_job_of_the_same_name_are_waited_for() -> None:
    old = world()
    old.settle()
    w = world()
    w.resource["metadata"]["uid"] = "a new life"
    w.objects = dict(old.objects)

    waits = w.settle()
    w.objects.clear()
    goes_on = w.settle()

    assert (statuses(waits)["reason"], statuses(goes_on)["reason"]) == ("AwaitingDeletion", "StageRunning")


def test_an_active_deadline_ends_the_run() -> None:
    w = world(runPolicy={"activeDeadline": "1h"})
    w.settle()
    w.find("Job", "demo-sft-a1")["status"] = {"active": 1}
    first = w.settle()
    w.pass_time(timedelta(hours=1))

    plan = w.settle()

    assert first.wake_at == w.now
    assert statuses(plan) == {"Ready": "False", "Stalled": "True", "reason": "DeadlineExceeded"}
    assert w.names("Job") == []


@pytest.mark.parametrize("wiped", [False, True], ids=["with status", "status wiped"])
def test_after_the_ttl_jobs_go_and_what_was_done_stays_known(wiped: bool) -> None:
    w = world(runPolicy={"ttlAfterFinished": "1h"}, nodes={"count": 2})
    w.settle()
    w.succeed("demo-sft-a1", "a")
    w.settle()
    w.succeed("demo-student-a1", "b")
    w.settle()
    w.pass_time(timedelta(hours=1))
    w.settle()
    if wiped:
        del w.resource["status"]

    plan = w.settle()

    assert (w.names("Job"), w.names("Service")) == ([], [])
    assert statuses(plan)["reason"] == "Complete"


def test_the_pods_may_patch_the_report_of_the_current_attempt_only() -> None:
    w = world()
    w.settle()
    w.fail_pod("demo-sft-a1")
    w.settle()
    w.pass_time(timedelta(minutes=1))
    w.settle()

    (rule,) = w.find("Role", "demo-train")["rules"]
    assert (rule["resourceNames"], rule["verbs"]) == (["demo-sft-a2-report"], ["get", "patch"])


def test_a_job_deleted_by_hand_is_created_again() -> None:
    w = world()
    w.settle()
    del w.objects[ObjectKey("Job", "demo-sft-a1")]

    w.settle()

    assert w.names("Job") == ["demo-sft-a1"]


def test_an_override_of_the_main_command_is_refused_with_the_field_named() -> None:
    template = {"spec": {"containers": [{"name": "lore", "command": ["sh"]}]}}
    w = world(runner={"podTemplate": template})

    plan = w.settle()

    ready = condition(plan, "Ready")
    assert ready is not None
    assert ready["reason"] == "InvalidPodTemplate"
    assert "spec.runner.podTemplate.spec.containers[lore].command" in ready["message"]
    assert w.names("Job") == []


def test_a_stored_spec_that_cannot_be_read_is_named_and_nothing_is_touched() -> None:
    w = world()
    w.settle()
    edit(w, nodes={"count": "many"})

    plan = w.settle()

    ready = condition(plan, "Ready")
    assert ready is not None
    assert (ready["reason"], "spec.nodes.count" in ready["message"]) == ("InvalidSpec", True)
    assert w.names("Job") == ["demo-sft-a1"]


def test_an_unknown_field_of_a_newer_crd_is_tolerated() -> None:
    w = world(fromTheFuture={"x": 1})

    assert statuses(w.settle())["reason"] == "StageRunning"


def test_flux_is_answered() -> None:
    w = world()
    w.resource["metadata"]["annotations"] = {"reconcile.fluxcd.io/requestedAt": "now"}

    assert w.settle().status["lastHandledReconcileAt"] == "now"


@pytest.mark.parametrize("asked", [None, 1, 4, 8])
def test_more_ranks_than_gpus_in_a_pod_are_refused_before_anything_runs(asked: int | None) -> None:
    runner = {"resources": {"limits": {"nvidia.com/gpu": asked}}} if asked else {}
    w = world(nodes={"gpusPerNode": 4}, runner=runner)
    plan = w.settle()
    assert (statuses(plan)["reason"] == "ImpossibleResources") == (asked == 1)
    assert w.has("Job", "demo-sft-a1") == (asked != 1)
