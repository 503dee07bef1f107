"""What a RelevanceEval does, from waiting for its model to a verdict that is bound to digests."""

import json
from datetime import timedelta
from typing import Any

import pytest
from unit.plan.world import DIGEST, World, condition, config_of, digest, resource, statuses

from lore_core.jobs import Failure, Phase, Progress, Report, ServingProfile, shard_key
from lore_operator.api.v1alpha1.eval_status import EvalStatus
from lore_operator.plan import evaluation, model
from lore_operator.plan.shards import indexes
from lore_operator.plan.types import ObjectKey

SPEC: dict[str, Any] = {
    "modelRef": {"name": "lore"},
    "benchmark": {"uri": "pvc://data/bench", "digest": DIGEST, "subsets": ["general", "rules"]},
    "ruleSet": {"uri": "pvc://data/rules", "digest": digest("7")},
    "workspace": {"uri": "s3://runs/evals", "secretRef": {"name": "store"}},
    "champion": {"evalRef": {"name": "champion"}},
    "gates": [
        {"name": "floor", "metric": "Accuracy2", "subset": "general", "min": "0.75"},
        {"name": "rules", "metric": "RuleFlip", "subset": "rules", "maxRegression": "0.02"},
    ],
}
GATES = [
    {"name": "floor", "outcome": "Passed", "severity": "Required", "message": "Accuracy2 on general is 0.81"},
    {
        "name": "rules",
        "outcome": "Failed",
        "severity": "Required",
        "message": "RuleFlip on rules is 0.20 below champion [0.15, 0.25]",
        "value": "0.5",
        "champion": None,
    },
]


def world(model_there: bool = True, champion_there: bool = True, **changes: Any) -> World:
    w = World(evaluation, resource("RelevanceEval", "nightly", json.loads(json.dumps(SPEC)) | changes))
    if model_there:
        w.add(lore())
    if champion_there:
        w.add(champion())
    return w


def lore(letter: str = "a") -> dict[str, Any]:
    spec = {"uri": "pvc://lore/model", "digest": digest(letter), "role": "Generative"}
    return resource("RelevanceModel", "lore", spec)


def champion() -> dict[str, Any]:
    found = resource("RelevanceEval", "champion", {"workspace": {"uri": "s3://runs", "secretRef": {"name": "old"}}})
    return found | {"status": {"evidence": {"uri": "s3://runs/evidence", "digest": digest("c")}}}


def summary(w: World, verdict: str, **changes: Any) -> dict[str, Any]:
    config = config_of(w, "nightly-eval-a1")
    return {
        "verdict": verdict,
        "primary": {"metric": "Accuracy2", "value": "0.81"},
        "gates": GATES if verdict != "Passed" else [GATES[0], GATES[1] | {"outcome": "Passed"}],
        "scores": [{"metric": "Accuracy2", "value": "0.81", "label": None}],
        "modelDigest": config["model"]["digest"],
        "gateSetDigest": config["gateSetDigest"],
        "benchmarkDigest": config["benchmark"]["digest"],
        "rulesDigest": config["ruleSet"]["digest"],
        "championDigest": config["champion"]["evidence"]["digest"],
        "profileDigest": ServingProfile.model_validate(config["profile"]).content_digest(),
    } | changes


def judged(verdict: str, **changes: Any) -> World:
    w = world()
    w.settle()
    w.succeed("nightly-eval-a1", "e", summary(w, verdict, **changes))
    w.settle()
    return w


def test_an_evaluation_waits_for_its_model() -> None:
    w = world(model_there=False)
    waits = w.settle()
    w.add(lore())
    goes_on = w.settle()

    assert statuses(waits) == {"Ready": "Unknown", "Reconciling": "True", "reason": "AwaitingModel"}
    assert statuses(goes_on) == {"Ready": "Unknown", "Reconciling": "True", "reason": "AwaitingVerdict"}


def test_a_suspended_evaluation_says_so_even_where_its_model_is_missing() -> None:
    plan = world(model_there=False, suspend=True).settle()

    assert statuses(plan) == {"Ready": "Unknown", "reason": "Suspended"}


def test_an_evaluation_waits_for_the_evidence_of_its_champion() -> None:
    w = world(champion_there=False)

    plan = w.settle()

    assert statuses(plan)["reason"] == "AwaitingChampion"
    assert w.names("Job") == []


def test_it_compares_with_the_champions_evidence_by_digest_and_with_its_credentials() -> None:
    w = world()
    w.settle()

    assert config_of(w, "nightly-eval-a1")["champion"] == {
        "name": "champion",
        "evidence": {"uri": "s3://runs/evidence", "digest": digest("c"), "credentials": "/mnt/lore/secrets/old"},
    }


def test_the_profile_says_the_image_that_serves_even_where_the_spec_names_none() -> None:
    w = world()
    w.settle()

    container = w.find("Job", "nightly-eval-a1")["spec"]["template"]["spec"]["containers"][0]
    assert config_of(w, "nightly-eval-a1")["profile"]["image"] == container["image"] == "server@sha256:2"


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("Passed", {"Ready": "True", "Passed": "True", "reason": "Passed"}),
        ("Failed", {"Ready": "False", "Stalled": "True", "Passed": "False", "reason": "GateFailed"}),
        ("Inconclusive", {"Ready": "False", "Stalled": "True", "Passed": "False", "reason": "Inconclusive"}),
    ],
)
def test_the_verdict_is_in_the_conditions(verdict: str, expected: dict[str, str]) -> None:
    assert statuses(judged(verdict).plan()) == expected


def test_a_refusal_says_slice_interval_and_champion() -> None:
    ready = condition(judged("Failed").plan(), "Ready")

    assert ready is not None
    assert ready["message"] == "1/2 gates passed; rules: RuleFlip on rules is 0.20 below champion [0.15, 0.25]"


def test_an_advisory_gate_is_not_among_the_refusals() -> None:
    gates = [GATES[0], GATES[1] | {"severity": "Advisory"}]
    ready = condition(judged("Passed", gates=gates).plan(), "Ready")

    assert ready is not None
    assert ready["message"] == "1/2 gates passed"


def test_the_status_follows_the_crd_and_carries_what_the_verdict_is_bound_to() -> None:
    status = EvalStatus.model_validate(judged("Failed").plan().status)

    assert (status.verdict, status.gates_passed, status.rules_digest) == ("Failed", "1/2", digest("7"))
    assert status.model is not None
    assert status.evidence is not None
    assert (status.model.digest, status.benchmark_digest, status.evidence.digest) == (digest("a"), DIGEST, digest("e"))


@pytest.mark.parametrize(
    "field", ["modelDigest", "gateSetDigest", "profileDigest", "benchmarkDigest", "rulesDigest", "championDigest"]
)
def test_a_report_about_something_else_is_no_verdict(field: str) -> None:
    plan = judged("Passed", **{field: digest("9")}).plan()

    assert statuses(plan) == {"Ready": "False", "Stalled": "True", "reason": "ReportMismatch"}
    assert "verdict" not in plan.status


def test_a_verdict_is_never_tried_again() -> None:
    w = judged("Failed")
    w.pass_time(timedelta(days=1))
    w.settle()

    assert w.names("Job") == ["nightly-eval-a1"]


def test_a_model_that_is_re_pointed_while_it_is_judged_changes_nothing() -> None:
    w = world()
    w.settle()
    del w.objects[ObjectKey("RelevanceModel", "lore")]
    w.add(lore("b"))
    w.fail_pod("nightly-eval-a1")
    w.settle()
    w.pass_time(timedelta(minutes=1))

    plan = w.settle()

    assert config_of(w, "nightly-eval-a2")["model"]["digest"] == digest("a")
    assert plan.status["model"]["digest"] == digest("a")


def test_a_digest_that_the_model_does_not_have_is_refused() -> None:
    plan = world(modelRef={"name": "lore", "digest": digest("b")}).settle()

    assert statuses(plan) == {"Ready": "False", "Stalled": "True", "reason": "DigestMismatch"}


def test_another_image_than_the_profiles_marks_the_verdict() -> None:
    assert world(runner={"image": "mine"}).settle().status["customRunner"] is True


def test_an_edited_evaluation_keeps_its_verdict_and_shows_the_drift() -> None:
    w = judged("Passed")
    w.resource["spec"]["gates"][0]["min"] = "0.10"

    assert statuses(w.settle()) == {"Ready": "True", "Passed": "True", "SpecDrift": "True", "reason": "Passed"}


def test_a_model_shows_the_evaluations_that_passed_for_its_digest_and_no_others() -> None:
    w = World(model, lore())
    for name, letter, verdict in (("good", "a", "Passed"), ("bad", "a", "Failed"), ("other", "b", "Passed")):
        status = {"verdict": verdict, "model": {"digest": digest(letter)}, "profileDigest": digest("d")}
        w.add(resource("RelevanceEval", name, {}) | {"status": status})

    plan = w.settle()

    assert plan.status["verdicts"] == [{"eval": "good", "profileDigest": digest("d")}]
    assert statuses(plan) == {"Ready": "True", "reason": "Registered"}


def test_the_generated_answer_protocol_reaches_the_pod_and_makes_another_verdict():
    plain, asked = world(), world(generation={"samples": 8})
    plain.settle(), asked.settle()
    config = config_of(asked, "nightly-eval-a1")
    assert config["generation"]["samples"] == 8
    assert "generation" not in config_of(plain, "nightly-eval-a1")
    assert config["inputKey"] != config_of(plain, "nightly-eval-a1")["inputKey"]


def override(**changes: Any) -> dict[str, Any]:
    said = {"by": "ada", "reason": "the champion's judge was broken", "expires": "2026-11-03T00:00:00Z"}
    return {**said, "evidenceDigest": digest("e"), **changes}


def test_a_person_may_let_a_failed_verdict_pass_under_a_name_for_a_time() -> None:
    w = judged("Failed")
    w.resource["spec"]["override"] = override()
    plan = w.settle()

    assert statuses(plan) == {"Ready": "True", "Passed": "True", "reason": "Overridden"}
    assert plan.status["verdict"] == "Failed"
    assert plan.status["override"]["by"] == "ada"
    assert "overridden by ada until 2026-11-03T00:00:00Z" in condition(plan.status, "Ready")["message"]

    w.pass_time(timedelta(days=3))
    plan = w.settle()
    assert statuses(plan)["reason"] == "GateFailed"
    assert "override" not in plan.status
    assert "it expired at 2026-11-03T00:00:00Z" in condition(plan.status, "Ready")["message"]


def test_an_override_of_other_evidence_does_not_count() -> None:
    w = judged("Failed")
    w.resource["spec"]["override"] = override(evidenceDigest=digest("9"))
    plan = w.settle()

    assert statuses(plan)["reason"] == "GateFailed"
    assert "does not count: it is about evidence" in condition(plan.status, "Ready")["message"]


def test_a_verdict_is_signed_with_the_key_of_a_secret_that_only_the_pod_sees() -> None:
    w = world(signing={"secretRef": {"name": "keys"}, "validFor": "24h"})
    w.settle()
    config = config_of(w, "nightly-eval-a1")
    pod = w.find("Job", "nightly-eval-a1")["spec"]["template"]["spec"]

    assert config["signing"]["validSeconds"] == 86_400
    mounts = {item["mountPath"]: item["name"] for item in pod["containers"][0]["volumeMounts"]}
    volume = mounts[config["signing"]["credentials"]]
    assert {"secretName": "keys", "defaultMode": 0o440} in [
        item.get("secret") for item in pod["volumes"] if item["name"] == volume
    ]


def test_the_signed_verdict_stands_in_status() -> None:
    assert judged("Passed", attestation="{signed}").resource["status"]["attestation"] == "{signed}"


def test_how_far_it_is_and_how_long_the_rest_takes_stand_in_status() -> None:
    w = world()
    w.settle()
    done = Progress(step=128, total_steps=516, unit="pairs", seconds_remaining=40)
    times = {"started_at": w.now, "last_updated": w.now}
    w.report("nightly-eval-a1", Report(phase=Phase.RUNNING, progress=done, **times))

    assert w.settle().status["progress"] == {"step": 128, "totalSteps": 516, "unit": "pairs", "secondsRemaining": 40}


def test_how_long_answers_took_stands_in_status() -> None:
    assert judged("Passed", timing={"p50Ms": "12.5", "p99Ms": None}).resource["status"]["timing"] == {"p50Ms": "12.5"}


def shards_at(w: World, job: str, *, scored: int, failed: str = "") -> None:
    status = w.find("Job", job).setdefault("status", {})
    status |= {"succeeded": scored, **({"failedIndexes": failed} if failed else {})}


def test_shards_are_scored_side_by_side_and_judged_once_all_of_them_are_there() -> None:
    w = world(
        shards=4, signing={"secretRef": {"name": "keys"}}, runner={"resources": {"limits": {"nvidia.com/gpu": 1}}}
    )
    w.settle()
    scoring = w.find("Job", "nightly-score-a1")["spec"]
    container = scoring["template"]["spec"]["containers"][0]
    assert (scoring["completionMode"], scoring["completions"], scoring["backoffLimitPerIndex"]) == ("Indexed", 4, 1)
    assert "backoffLimit" not in scoring
    assert container["command"][-1] == "--shard"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert not [
        item for item in scoring["template"]["spec"]["volumes"] if item.get("secret", {}).get("secretName") == "keys"
    ]
    assert w.names("Job") == ["nightly-score-a1"]

    shards_at(w, "nightly-score-a1", scored=3)
    plan = w.settle()
    assert plan.status["shards"] == {"total": 4, "scored": 3, "failed": 0}
    assert "3 of 4 shards scored" in condition(plan.status, "Ready")["message"]

    w.end_job("nightly-score-a1")
    shards_at(w, "nightly-score-a1", scored=4)
    w.settle()
    judging = w.find("Job", "nightly-eval-a1")["spec"]["template"]["spec"]["containers"][0]
    assert judging["command"][-1] == "--reduce"
    assert not judging["resources"].get("limits")
    assert config_of(w, "nightly-eval-a1") == config_of(w, "nightly-score-a1")

    w.succeed("nightly-eval-a1", "e", summary(w, "Passed"))
    assert statuses(w.settle()) == {"Ready": "True", "Passed": "True", "reason": "Passed"}


def test_half_the_shards_lost_is_told_tried_again_and_never_a_verdict() -> None:
    w = world(shards=4, runPolicy={"maxRestarts": 1})
    w.settle()
    for attempt in (1, 2):
        job = f"nightly-score-a{attempt}"
        w.end_job(job, "Failed", "Job has failed indexes", "FailedIndexes")
        shards_at(w, job, scored=2, failed="1,3")
        w.settle()
        w.pass_time(timedelta(minutes=1))
        w.settle()
    plan = w.settle()

    assert w.names("Job") == ["nightly-score-a1", "nightly-score-a2"]
    assert plan.status["shards"] == {"total": 4, "scored": 2, "failed": 2, "failedIndexes": "1,3"}
    assert statuses(plan)["Stalled"] == "True"
    assert "2 of 4 shards failed" in condition(plan.status, "Ready")["message"]
    assert "verdict" not in plan.status


def test_a_finished_sharded_evaluation_starts_nothing_when_its_jobs_are_cleaned_up() -> None:
    w = world(shards=2, runPolicy={"ttlAfterFinished": "1h"})
    w.settle()
    w.end_job("nightly-score-a1")
    w.settle()
    w.succeed("nightly-eval-a1", "e", summary(w, "Passed"))
    w.settle()
    w.pass_time(timedelta(hours=2))
    plan = w.settle()

    assert w.names("Job") == []
    assert statuses(plan)["Passed"] == "True"


def shard_reports(w: World, job: str, **reports: Report) -> None:
    """What the shards say: `s0=…` is the first one's report."""
    times = {"started_at": w.now, "last_updated": w.now}
    data = {shard_key(int(name[1:])): one.model_copy(update=times).to_json() for name, one in reports.items()}
    w.find("ConfigMap", f"{job}-report").setdefault("data", {}).update(data)


def at(step: int, total: int, left: int | None = None) -> Report:
    return Report(
        phase=Phase.RUNNING, progress=Progress(step=step, total_steps=total, unit="pairs", seconds_remaining=left)
    )


def broken(reason: str, message: str) -> Report:
    return Report(phase=Phase.FAILED, failure=Failure(reason=reason, message=message))


def test_progress_is_that_of_all_shards_and_the_time_left_that_of_the_slowest() -> None:
    w = world(shards=3)
    w.settle()
    shard_reports(w, "nightly-score-a1", s0=at(100, 200, 50), s1=at(20, 200, 90), s2=at(150, 180, 5))

    assert w.settle().status["progress"] == {"step": 270, "totalSteps": 580, "unit": "pairs", "secondsRemaining": 90}


def test_a_shard_that_waits_for_a_place_is_counted_in_at_the_pace_of_those_that_run() -> None:
    w = world(shards=2)
    w.settle()
    shard_reports(w, "nightly-score-a1", s0=at(100, 200, 50))

    assert w.settle().status["progress"] == {"step": 100, "totalSteps": 400, "unit": "pairs", "secondsRemaining": 150}


def test_what_the_job_says_is_scored_is_whole_and_what_failed_is_not_waited_for() -> None:
    w = world(shards=3)
    w.settle()
    lost = broken("ServingEngineFailed", "out of memory").model_copy(update={"progress": at(40, 100).progress})
    shard_reports(w, "nightly-score-a1", s0=at(90, 100, 9), s1=lost, s2=at(60, 100, 30))
    status = w.find("Job", "nightly-score-a1").setdefault("status", {})
    status |= {"succeeded": 1, "completedIndexes": "0", "failedIndexes": "1"}
    plan = w.settle()

    assert plan.status["progress"] == {"step": 200, "totalSteps": 300, "unit": "pairs", "secondsRemaining": 30}
    assert plan.status["shards"] == {"total": 3, "scored": 1, "failed": 1, "failedIndexes": "1"}
    told = condition(plan.status, "Ready")["message"]
    assert "1 of 3 shards scored, 1 failed; shard 1: ServingEngineFailed: out of memory" in told


def test_what_any_shard_says_is_wrong_with_the_input_is_not_tried_again() -> None:
    w = world(shards=3, runPolicy={"maxRestarts": 3})
    w.settle()
    shard_reports(
        w,
        "nightly-score-a1",
        s0=broken("EndpointUnavailable", "503"),
        s1=broken("EndpointUnavailable", "503"),
        s2=broken("WrongModel", "gpt-3 answered"),
    )
    w.end_job("nightly-score-a1", "Failed", "Job has failed indexes", "FailedIndexes")
    shards_at(w, "nightly-score-a1", scored=0, failed="0-2")
    w.settle()
    w.pass_time(timedelta(minutes=10))
    plan = w.settle()

    assert w.names("Job") == ["nightly-score-a1"]
    assert condition(plan.status, "Ready")["reason"] == "WrongModel"
    assert "gpt-3 answered" in condition(plan.status, "Ready")["message"]


@pytest.mark.parametrize(("text", "failed"), [("", 0), ("3", 1), ("1,3-5,9", 5)])
def test_failed_shards_are_counted_from_the_jobs_list(text: str, failed: int) -> None:
    assert len(indexes(text)) == failed
