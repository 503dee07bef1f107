"""What a RelevanceDeployment does, from a gate that refuses to weight that moves."""

import contextlib
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from unit.plan.serving_world import (
    ServingWorld,
    advance,
    build_head,
    evaluation,
    model,
    serve,
    world,
)
from unit.plan.world import SETTINGS, Crash, condition, digest, statuses

from lore_core.jobs import Failure, Phase, Report
from lore_operator.children.composition import PREPARING
from lore_operator.children.settings import Images
from lore_operator.plan.types import ObjectKey

MINUTE = timedelta(minutes=1)
States = list[tuple[ServingWorld, int]]
NEW_MODEL = {"modelRef": {"name": "llm-2"}}


def new_model(w: ServingWorld) -> None:
    """A better model was published and judged, and the spec names it."""
    w.add(model("llm-2", "f"))
    w.add(evaluation("llm-2-eval", "f"))
    w.edit_tier("tail", **NEW_MODEL)


def blocked(**status: Any) -> ServingWorld:
    w = world(verdicts=False)
    w.add(evaluation("student-eval", "c"))
    if status:
        w.add(evaluation("llm-eval", "a", **status))
    w.settle()
    return w


def served() -> ServingWorld:
    w = world()
    serve(w)
    return w


# The gate


def test_without_a_verdict_nothing_is_started_and_the_message_says_what_is_missing() -> None:
    w = blocked()

    stalled = condition(w.resource["status"], "Stalled")
    assert (w.names("InferenceService"), w.names("Job"), w.names("Deployment")) == ([], [], [])
    assert stalled is not None
    assert stalled["reason"] == "GateBlocked"
    assert "llm" in stalled["message"]
    assert "quality" in stalled["message"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"model": {"digest": digest("0")}}, "create a RelevanceEval"),
        ({"profileDigest": digest("0")}, "serving profile"),
        ({"benchmarkDigest": digest("0")}, "benchmark"),
        ({"gateSetDigest": digest("0")}, "gate set"),
        ({"rulesDigest": digest("0")}, "rule set"),
        ({"customRunner": True}, "image"),
        ({"protocol": "GeneratedAnswer"}, "generated"),
        ({"verdict": None}, "no verdict yet"),
    ],
    ids=[
        "another model",
        "another profile",
        "another benchmark",
        "other gates",
        "other rules",
        "custom runner",
        "another protocol",
        "no verdict",
    ],
)
def test_a_verdict_that_is_not_for_exactly_this_does_not_count(status: dict[str, Any], words: str) -> None:
    w = blocked(**status)

    stalled = condition(w.resource["status"], "Stalled")
    assert w.backends() == []
    assert stalled is not None
    assert words in stalled["message"]


def test_a_refused_model_is_told_with_the_gates_own_words() -> None:
    gate = {"name": "rules", "outcome": "Failed", "message": "RuleFlip on rules is 0.20, champion 0.41"}
    w = blocked(verdict="Failed", gates=[gate])

    assert "RuleFlip on rules is 0.20, champion 0.41" in w.resource["status"]["conditions"][0]["message"]
    assert w.resource["status"]["gate"] == "Blocked"


def test_a_quantised_variant_needs_its_own_verdict() -> None:
    w = served()
    w.edit_tier("tail", servingProfile={"quantization": "fp8"})
    serve(w)

    stalled = condition(w.resource["status"], "Stalled")
    assert stalled is not None
    assert stalled["reason"] == "GateBlocked"
    assert len(w.backends()) == 2


def test_a_verdict_of_an_evaluation_that_is_not_selected_does_not_count() -> None:
    requirement = {"name": "quality", "evalSelector": {"matchLabels": {"suite": "nightly"}}}
    w = world(gate={"requirements": [requirement]})
    w.settle()

    assert statuses(w.plan())["reason"] == "GateBlocked"


def test_what_serves_says_how_much_of_the_head_is_covered() -> None:
    w = world()

    status = serve(w).status

    assert status["head"]["coverage"] == "0.998000"
    assert status["head"]["result"]["digest"] == digest("d")


def test_a_requirement_may_hold_for_some_tiers_only() -> None:
    w = world(verdicts=False, gate={"requirements": [{"name": "quality", "strata": ["torso"]}]})
    w.add(evaluation("student-eval", "c"))

    assert statuses(serve(w))["reason"] == "Serving"


def test_the_model_that_scores_the_head_is_judged_for_it() -> None:
    w = world(verdicts=False, gate={"requirements": [{"name": "quality", "strata": ["head"]}]})
    w.settle()

    assert "model llm" in statuses_message(w)


def statuses_message(w: ServingWorld) -> str:
    ready = condition(w.resource["status"], "Ready")
    assert ready is not None
    return str(ready["message"])


RUNTIME = {"name": "kserve-vllmserver", "storageUri": "s3://models/llm"}
ALLOWING = {"gate": {"allowUnverified": True, "requirements": [{"name": "quality"}]}}


def unverified(w: ServingWorld) -> str:
    return (condition(w.resource["status"], "Unverified") or {}).get("message", "")


def test_a_model_that_kserve_loads_serves_where_the_gate_allows_it_and_is_called_unverified() -> None:
    w = world(**ALLOWING)
    w.edit_tier("tail", kserveRuntime=RUNTIME)
    serve(w)

    assert statuses(w.plan())["reason"] == "Serving"
    assert unverified(w) == (
        "tier tail: model llm is loaded by KServe's runtime kserve-vllmserver from s3://models/llm, which compares no digest"
    )
    w.edit(suspend=True)
    w.settle()
    assert "kserve-vllmserver" in unverified(w)


def test_what_is_verified_again_is_no_longer_called_unverified() -> None:
    w = world(**ALLOWING)
    w.edit_tier("tail", kserveRuntime=RUNTIME)
    serve(w)
    w.edit_tier("tail", kserveRuntime=None)
    serve(w)

    assert (statuses(w.plan())["reason"], unverified(w)) == ("Serving", "")


def test_a_verdict_is_needed_of_a_model_that_kserve_loads_as_of_any_other() -> None:
    w = world(verdicts=False, **ALLOWING)
    w.add(evaluation("student-eval", "c"))
    w.edit_tier("tail", kserveRuntime=RUNTIME)
    w.settle()

    assert "model llm" in statuses_message(w)
    assert statuses(w.plan())["reason"] == "GateBlocked"


def test_a_composition_that_loads_unverified_bytes_is_never_pinned_past_a_gate_that_does_not_allow_it() -> None:
    w = served()
    w.edit(**ALLOWING)
    w.edit_tier("tail", kserveRuntime=RUNTIME)
    w.step()
    prepared = max(w.names("ControllerRevision"), key=lambda name: number(w, name))
    w.edit_tier("tail", kserveRuntime=None)
    w.edit(gate={"requirements": [{"name": "quality"}]}, rollout={"pinRevision": prepared})
    w.settle()

    assert statuses(w.plan())["reason"] == "GateBlocked"
    assert "the gate lacks allowUnverified" in statuses_message(w)


def test_a_runtime_that_kserve_does_not_know_fails_the_composition_in_kserves_words() -> None:
    w = world(**ALLOWING)
    w.edit_tier("tail", kserveRuntime=RUNTIME)
    for _ in range(6):
        w.step()
        build_head(w)
    told = {"reason": "RuntimeNotRecognized", "message": "Waiting for runtime to become available"}
    for name in w.backends():
        broken = {"modelStatus": {"transitionStatus": "InvalidSpec", "lastFailureInfo": told}}
        w.find("InferenceService", name)["status"] = broken
    w.settle()

    assert statuses(w.plan())["reason"] == "PredictorFailed"
    assert "Waiting for runtime to become available" in statuses_message(w)


def test_a_disabled_gate_serves_and_is_shown() -> None:
    w = world(verdicts=False, gate={"mode": "Disabled"})

    assert statuses(serve(w))["Ready"] == "True"
    assert w.resource["status"]["gate"] == "Disabled"


def test_what_serves_stays_available_while_the_gate_refuses_the_next() -> None:
    w = served()
    w.add(model("llm-2", "f"))
    w.edit_tier("tail", **NEW_MODEL)
    serve(w)

    found = statuses(w.plan())
    assert (found["Ready"], found["Stalled"], found["Available"]) == ("False", "True", "True")


def test_a_verdict_that_goes_away_later_alerts_and_evicts_nothing() -> None:
    w = served()
    del w.objects[ObjectKey("RelevanceEval", "llm-eval")]
    before = w.backends()

    plan = serve(w)

    assert (statuses(plan)["Ready"], statuses(plan)["VerdictExpired"], w.backends()) == ("True", "True", before)


# The order of things


def test_the_head_is_built_before_any_predictor_is_started() -> None:
    w = world()
    w.settle()

    assert len(w.names("Job")) == 1
    assert w.backends() == []


def test_predictors_are_started_before_any_router() -> None:
    w = world()
    w.settle()
    build_head(w)
    w.settle()

    assert len(w.backends()) == 2
    assert not w.has("ConfigMap", "search-router")


def test_kserve_saying_ready_is_not_enough() -> None:
    w = world()
    w.settle()
    build_head(w)
    w.settle()
    w.kserve_works()
    for name in w.backends():
        w.find("Deployment", f"{name}-predictor")["status"]["observedGeneration"] = 0
    w.settle()

    assert not w.has("ConfigMap", "search-router")


@pytest.mark.parametrize(("mode", "told"), [("Serverless", True), ("Standard", False), ("RawDeployment", False)])
def test_a_kserve_that_took_another_mode_than_ours_is_told_with_what_to_do(mode: str, told: bool) -> None:
    w = world()
    w.settle()
    build_head(w)
    w.settle()
    for name in w.backends():
        w.find("InferenceService", name)["status"] = {"deploymentMode": mode}
    w.settle()

    words = "KServe runs it in its mode Serverless, not in Standard: install KServe 0.16 or newer"
    assert (words in condition(w.plan(), "Ready")["message"]) is told


def test_it_is_ready_only_when_all_routers_serve_the_config() -> None:
    w = world()
    for _ in range(6):
        w.settle()
        build_head(w)
        w.kserve_works()
    w.routers = {"router-0": w.config().content_digest(), "router-1": digest("0")}
    w.settle()

    assert statuses(w.plan())["reason"] == "AwaitingRouters"


def test_in_the_end_it_serves() -> None:
    found = statuses(serve(world()))

    assert (found["Ready"], found["Available"], found["reason"]) == ("True", "True", "Serving")


def test_the_routers_config_names_what_answers_each_stratum() -> None:
    (composition,) = served().config().compositions

    assert composition.head is not None
    assert composition.head.digest == digest("d")
    assert composition.tiers.torso is not None
    assert composition.tiers.torso.predictor is not None
    assert composition.tiers.torso.predictor.route == "Classify"
    assert composition.tiers.torso.predictor.deadline_ms == 50
    assert composition.tiers.tail.predictor is not None
    assert composition.tiers.tail.predictor.kit.digest == digest("a")


def test_a_generation_that_is_given_is_not_built() -> None:
    w = world()
    tiers = copy.deepcopy(w.resource["spec"]["tiers"])
    tiers[0] = {"stratum": "head", "cache": {"generation": {"uri": "pvc://lore/head", "digest": digest("8")}}}
    w.edit(tiers=tiers)
    serve(w)

    assert w.names("Job") == []
    assert w.config().compositions[0].head is not None


# A new composition


def test_a_new_composition_enters_without_weight() -> None:
    w = served()
    old = w.config().stable
    new_model(w)
    while len(w.config().compositions) == 1:
        w.step()
        w.collect()
        build_head(w)
        w.kserve_works()

    assert (w.config().stable, w.weights()[old]) == (old, 100)


def without_routers(w: ServingWorld, passes: int = 8) -> None:
    """Routers do not follow for some passes; everybody else does."""
    for _ in range(passes):
        w.step()
        w.collect()
        build_head(w)
        w.kserve_works()


def test_weight_does_not_move_before_all_routers_have_the_composition() -> None:
    w = served()
    old = w.config().stable
    new_model(w)
    without_routers(w)

    assert (w.config().stable, w.weights()[old]) == (old, 100)


def test_the_former_composition_stays_until_all_routers_know_of_the_move() -> None:
    w = served()
    old = w.config().stable
    new_model(w)
    without_routers(w)
    w.routers_follow()
    without_routers(w)

    assert w.weights()[old] == 0
    assert len(w.weights()) == 2


def test_in_the_end_only_the_new_composition_is_there() -> None:
    w = served()
    old = w.config().stable
    new_model(w)

    plan = serve(w)

    assert statuses(plan)["reason"] == "Serving"
    assert w.config().stable != old
    assert len(w.config().compositions) == 1


def test_old_backends_go_only_when_no_router_names_them_any_more() -> None:
    w = served()
    (old,) = {item.tiers.tail.predictor.model_name for item in w.config().compositions if item.tiers.tail.predictor}
    new_model(w)
    for _ in range(40):
        named = {old in str(item) for item in w.config().compositions}
        followed = set(w.routers.values()) == {w.config().content_digest()}
        if True in named or not followed:
            assert old in w.backends()
        w.step()
        w.collect()
        advance(w)

    assert old not in w.backends()


def test_a_backend_that_both_compositions_use_is_the_same_one() -> None:
    w = served()
    torso = w.config().compositions[0].tiers.torso
    uid = {name: w.find("InferenceService", name)["metadata"]["uid"] for name in w.backends()}
    new_model(w)
    serve(w)

    assert torso is not None
    assert torso.predictor is not None
    kept = torso.predictor.model_name
    assert w.find("InferenceService", kept)["metadata"]["uid"] == uid[kept]


def test_weight_moves_in_the_steps_of_the_spec() -> None:
    w = served()
    new_model(w)
    w.edit(rollout={"steps": [{"weight": 10, "for": "30m"}, {"weight": 50, "for": "30m"}]})
    seen = []
    for _ in range(60):
        w.step()
        w.collect()
        advance(w)
        w.pass_time(10 * MINUTE)
        weight = w.weights()[w.config().compositions[-1].revision] if len(w.config().compositions) > 1 else 100
        seen += [weight] if not seen or seen[-1] != weight else []

    assert seen == [100, 0, 10, 50, 0, 100]


def test_a_step_lasts_as_long_as_the_spec_says() -> None:
    w = served()
    new_model(w)
    w.edit(rollout={"steps": [{"weight": 10, "for": "30m"}]})
    for _ in range(30):
        w.step()
        w.collect()
        advance(w)

    plan = w.plan()
    assert sorted(w.weights().values()) == [10, 90]
    assert plan.wake_at == w.now + 30 * MINUTE


def test_a_new_spec_in_mid_rollout_gives_all_weight_back_first() -> None:
    w = served()
    stable = w.config().stable
    new_model(w)
    w.edit(rollout={"steps": [{"weight": 10, "for": "30m"}]})
    for _ in range(30):
        w.step()
        w.collect()
        advance(w)
    w.edit_tier("tail", modelRef={"name": "llm"})
    w.step()

    assert w.weights()[stable] == 100


def test_a_name_that_points_elsewhere_later_rolls_nothing() -> None:
    w = served()
    before = w.config()
    w.objects[ObjectKey("RelevanceModel", "llm")]["spec"]["digest"] = digest("f")
    w.add(evaluation("f-eval", "f"))

    serve(w)

    assert w.config() == before


def test_an_upgrade_with_other_images_rolls_nothing() -> None:
    w = served()
    before = copy.deepcopy(w.objects)
    w.settings = replace(SETTINGS, images=Images("trainer:2", "server:2", "router:2"), version="2.0")

    serve(w)

    assert w.objects == before


def test_a_pinned_revision_serves_whatever_the_spec_says() -> None:
    w = served()
    old = w.config().stable
    new_model(w)
    serve(w)
    w.edit(rollout={"pinRevision": old})

    serve(w)

    assert (w.config().stable, list(w.weights())) == (old, [old])


def test_a_pinned_revision_that_is_unknown_is_told_with_those_that_are_known() -> None:
    w = served()
    w.edit(rollout={"pinRevision": "search-0000000000"})
    plan = w.step()

    ready = condition(plan, "Ready")
    assert ready is not None
    assert ready["reason"] == "RevisionNotFound"
    assert w.config().stable in ready["message"]


def test_rolling_back_needs_no_verdict_again() -> None:
    w = served()
    old = w.config().stable
    new_model(w)
    serve(w)
    del w.objects[ObjectKey("RelevanceEval", "llm-eval")]
    w.edit(rollout={"pinRevision": old})

    serve(w)

    assert w.config().stable == old


def test_history_is_bounded() -> None:
    w = served()
    w.edit(revisionHistoryLimit=2)
    for letter in "567":
        w.add(model(f"llm-{letter}", letter))
        w.add(evaluation(f"eval-{letter}", letter))
        w.edit_tier("tail", modelRef={"name": f"llm-{letter}"})
        serve(w)

    assert len(w.names("ControllerRevision")) == 2


# What several deployments share


def test_a_backend_that_another_deployment_runs_is_shared() -> None:
    w = served()
    name = w.backends()[0]
    w.find("InferenceService", name)["metadata"]["ownerReferences"] = [{"uid": "theirs", "name": "other"}]
    serve(w)

    owners = [owner["uid"] for owner in w.find("InferenceService", name)["metadata"]["ownerReferences"]]
    assert owners == ["theirs", "uid-of-search"]


def test_a_shared_backend_is_left_to_its_other_owners() -> None:
    w = served()
    name = next(n for n in w.backends() if n in str(w.config().compositions[0].tiers.tail))
    w.find("InferenceService", name)["metadata"]["ownerReferences"].append({"uid": "theirs", "name": "other"})
    new_model(w)
    serve(w)

    assert [o["uid"] for o in w.find("InferenceService", name)["metadata"]["ownerReferences"]] == ["theirs"]


def test_a_shared_backend_keeps_the_larger_number_of_replicas() -> None:
    w = served()
    name = next(n for n in w.backends() if n in str(w.config().compositions[0].tiers.tail))
    stored = w.find("InferenceService", name)
    stored["metadata"]["ownerReferences"].append({"uid": "theirs", "name": "other"})
    stored["spec"]["predictor"] |= {"minReplicas": 4, "maxReplicas": 4}
    w.edit_tier("tail", replicas={"min": 2})
    serve(w)

    assert w.find("InferenceService", name)["spec"]["predictor"]["minReplicas"] == 4


def test_replicas_change_without_a_new_composition() -> None:
    w = served()
    stable = w.config().stable
    w.edit_tier("tail", replicas={"min": 3})
    serve(w)

    assert w.config().stable == stable
    assert 3 in [w.find("InferenceService", n)["spec"]["predictor"]["minReplicas"] for n in w.backends()]


def test_a_strangers_inference_service_is_a_name_conflict() -> None:
    w = served()
    name = w.backends()[0]
    stranger = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": name}}
    other = world()
    other.add(stranger)
    serve(other)

    assert statuses(other.plan(replace(other.observed(), children=dict(other.objects))))["reason"] == "NameConflict"
    assert "labels" not in other.find("InferenceService", name)["metadata"]


# Failures


def failed_head() -> ServingWorld:
    w = world()
    w.settle()
    (job,) = w.names("Job")
    w.report(job, Report(phase=Phase.FAILED, failure=Failure(reason="DigestMismatch", message="items differ")))
    w.end_job(job, "Failed")
    w.settle()
    return w


def test_a_head_that_cannot_be_built_is_told_and_starts_no_predictor() -> None:
    w = failed_head()

    stalled = condition(w.resource["status"], "Stalled")
    assert stalled is not None
    assert stalled["reason"] == "DigestMismatch"
    assert "items differ" in stalled["message"]
    assert w.backends() == []


def test_a_failed_composition_is_tried_again_with_a_new_run_token() -> None:
    w = failed_head()
    w.edit(runToken="again")

    assert statuses(serve(w))["reason"] == "Serving"


def test_a_new_composition_that_fails_leaves_the_old_one_serving() -> None:
    w = served()
    stable = w.config().stable
    new_model(w)
    w.settle()
    job = next(name for name in w.names("Job") if not w.find("Job", name).get("status"))
    w.report(job, Report(phase=Phase.FAILED, failure=Failure(reason="DigestMismatch", message="items differ")))
    w.end_job(job, "Failed")
    plan = serve(w)

    found = statuses(plan)
    assert (found["Stalled"], found["Available"], found["reason"]) == ("True", "True", "RolledBack")
    assert w.config().stable == stable


def failing_at_half(on_failure: str) -> ServingWorld:
    """A new composition has half of the queries when its predictor turns out not to load."""
    w = served()
    new_model(w)
    w.edit(rollout={"steps": [{"weight": 50, "for": "30m"}], "onFailure": on_failure})
    serve(w)
    candidate = w.config().compositions[-1].tiers.tail.predictor
    assert candidate is not None
    w.fall(candidate.model_name, again_and_again=True)
    w.settle()
    return w


def preparing_beside(**fallen: bool) -> ServingWorld:
    """The container of a predictor that serves is killed while a new composition, which shares it, is prepared."""
    w = served()
    shared = next(name for name in w.backends() if "student" in str(w.find("InferenceService", name)))
    new_model(w)
    w.settle()
    build_head(w)
    w.settle()
    w.fall(shared, **fallen)
    w.settle()
    return w


def test_a_predictor_that_serves_and_restarts_delays_a_rollout_and_does_not_fail_it() -> None:
    w = preparing_beside()

    ready = condition(w.plan(), "Ready")
    assert ready is not None
    assert (ready["reason"], w.resource["status"]["failure"]["reason"]) == ("Killed", "Killed")
    assert "exited with 137" in ready["message"]
    assert w.weights() == {w.config().stable: 100}, "weight waits until it is back"

    w.recover()
    assert statuses(serve(w))["reason"] == "Serving"
    assert "llm-2" in str(w.resource["status"]["tiers"])


def test_a_predictor_that_serves_and_keeps_crashing_fails_the_rollout_that_shares_it() -> None:
    w = preparing_beside(again_and_again=True)

    found = statuses(w.plan())
    assert (found["reason"], found["Available"]) == ("RolledBack", "True")
    assert w.resource["status"]["failure"]["reason"] == "PredictorFailed"


def test_a_rollout_waits_for_a_predictor_that_restarts_no_longer_than_its_prepare_deadline() -> None:
    w = preparing_beside()
    w.pass_time(2 * 60 * MINUTE)
    w.settle()

    assert w.resource["status"]["failure"]["reason"] == "PrepareDeadlineExceeded"


def test_a_new_predictor_whose_first_start_fails_is_not_waited_for() -> None:
    w = served()
    before = set(w.backends())
    new_model(w)
    w.settle()
    build_head(w)
    w.settle()
    (new,) = set(w.backends()) - before
    w.fall(new)
    w.settle()

    assert w.resource["status"]["failure"]["reason"] == "PredictorFailed"


def test_a_candidate_with_queries_that_restarts_keeps_them_and_gets_no_more() -> None:
    w = served()
    new_model(w)
    w.edit(rollout={"steps": [{"weight": 50, "for": "30m"}]})
    serve(w)
    candidate = w.config().compositions[-1].tiers.tail.predictor
    assert candidate is not None
    w.fall(candidate.model_name)
    w.pass_time(31 * MINUTE)
    w.settle()

    assert sorted(w.weights().values()) == [50, 50]
    w.recover()
    assert statuses(serve(w))["reason"] == "Serving"


def test_a_failure_on_the_way_gives_the_queries_back() -> None:
    w = failing_at_half("Rollback")
    stable = w.config().stable
    w.routers_follow()
    w.settle()

    assert statuses(w.plan())["reason"] == "RolledBack"
    assert w.weights()[stable] == 100


def test_a_rollout_that_pauses_on_failure_leaves_weights_and_predictors_as_they_are() -> None:
    w = failing_at_half("Pause")

    found = statuses(w.plan())
    assert (found["Stalled"], found["Available"], found["reason"]) == ("True", "True", "RolloutPaused")
    assert sorted(w.weights().values()) == [50, 50]
    assert len(w.backends()) == 3


def test_a_paused_rollout_goes_on_with_a_new_run_token() -> None:
    w = failing_at_half("Pause")
    w.recover()
    w.edit(runToken="again")
    w.pass_time(31 * MINUTE)

    assert statuses(serve(w))["reason"] == "Serving"
    assert len(w.weights()) == 1


def test_a_paused_rollout_goes_back_when_the_old_revision_is_pinned() -> None:
    w = failing_at_half("Pause")
    stable = w.config().stable
    w.edit(rollout={"pinRevision": stable})

    serve(w)

    assert w.weights() == {stable: 100}


def test_a_namespace_whose_name_is_too_long_for_kserve_is_told_before_anything_is_made() -> None:
    w = world()
    w.resource["metadata"]["namespace"] = "n" * 36

    plan = w.settle()

    ready = condition(plan, "Ready")
    assert ready is not None
    assert (ready["reason"], w.names("Job"), w.backends()) == ("NamespaceTooLong", [], [])
    assert "leaves 35" in ready["message"]


def test_preparing_ends_at_its_deadline() -> None:
    w = world(rollout={"prepareDeadline": "1h"})
    w.settle()
    build_head(w)
    w.settle()
    w.pass_time(61 * MINUTE)
    w.settle()

    assert statuses(w.plan())["reason"] == "PrepareDeadlineExceeded"
    assert w.backends() == []


def test_a_mark_of_preparing_that_a_dead_operator_left_is_taken_off_what_serves() -> None:
    w = world()
    serve(w)
    (name,) = w.names("ControllerRevision")
    w.find("ControllerRevision", name)["metadata"]["annotations"][PREPARING] = "2026-11-01T00:00:00Z"

    w.settle()

    assert PREPARING not in w.find("ControllerRevision", name)["metadata"]["annotations"]


def test_a_model_that_is_not_there_yet_is_waited_for() -> None:
    w = world()
    del w.objects[ObjectKey("RelevanceModel", "llm")]
    plan = w.settle()

    assert statuses(plan) == {"Ready": "False", "Reconciling": "True", "Available": "False", "reason": "AwaitingModel"}


def test_another_digest_than_the_spec_wants_stops() -> None:
    w = world()
    w.edit_tier("tail", modelRef={"name": "llm", "digest": digest("0")})

    assert statuses(w.settle())["reason"] == "DigestMismatch"


def test_a_config_that_cannot_be_read_is_not_overwritten() -> None:
    w = served()
    w.find("ConfigMap", "search-router")["data"]["router.json"] = "{"
    plan = w.settle()

    assert statuses(plan)["reason"] == "RouterConfigUnreadable"
    assert w.find("ConfigMap", "search-router")["data"]["router.json"] == "{"


def test_a_suspended_deployment_changes_nothing() -> None:
    w = served()
    before = copy.deepcopy(w.objects)
    new_model(w)
    w.edit(suspend=True)
    serve(w)

    assert statuses(w.plan())["Ready"] == "Unknown"
    assert {key: item for key, item in w.objects.items() if key in before} == before


@pytest.mark.parametrize("kind", ["InferenceService", "Service", "Deployment"])
def test_what_is_deleted_by_hand_comes_back(kind: str) -> None:
    w = served()
    name = next(name for name in w.names(kind) if not name.endswith("-predictor"))
    del w.objects[ObjectKey(kind, name)]
    serve(w)

    assert w.has(kind, name)


# Whatever happens to the operator


def story() -> tuple[ServingWorld, list[Callable[[ServingWorld], None]]]:
    """First composition, then a better model in one step of weight, then back."""

    def back(w: ServingWorld) -> None:
        w.edit(rollout={"pinRevision": min(w.names("ControllerRevision"), key=lambda n: number(w, n))})

    return world(rollout={"steps": [{"weight": 10}]}), [lambda w: None, new_model, back]


def number(w: ServingWorld, name: str) -> int:
    return int(w.find("ControllerRevision", name)["revision"])


def end(w: ServingWorld) -> Any:
    """What a world ends in, but for identities and times."""
    objects = copy.deepcopy(w.objects)
    for item in objects.values():
        for name in ("uid", "resourceVersion", "creationTimestamp"):
            item["metadata"].pop(name, None)
        item["metadata"].get("annotations", {}).pop("lore-platform.io/written-at", None)
    return json.loads(json.dumps({str(key): item for key, item in objects.items()}, sort_keys=True, default=str))


@pytest.fixture(scope="module")
def states() -> States:
    """The world before every pass of the story, and how many of its events are done."""
    w, events = story()
    found = []
    for done, event in enumerate(events):
        event(w)
        for _ in range(40):
            found.append((w.copy(), done))
            before = copy.deepcopy((w.objects, w.resource, w.routers))
            w.step()
            w.collect()
            advance(w)
            if before == (w.objects, w.resource, w.routers):
                break
    return found


def finish(w: ServingWorld, done: int) -> Any:
    serve(w)
    for event in story()[1][done + 1 :]:
        event(w)
        serve(w)
    return end(w)


def test_a_wiped_status_moves_no_traffic_at_any_step(states: States) -> None:
    for w, _ in states:
        told = w.plan()
        wiped = w.copy()
        wiped.resource.pop("status", None)
        plan = wiped.plan()
        assert (plan.apply, plan.patch, plan.delete) == (told.apply, told.patch, told.delete)


def test_a_crash_before_any_write_changes_nothing_about_the_end(states: States) -> None:
    expected = finish(states[0][0].copy(), -1)
    for state, done in states:
        plan = state.plan()
        for crash in range(len(plan.apply) + len(plan.patch) + len(plan.delete) + 1):
            w = state.copy()
            with contextlib.suppress(Crash):
                w.step(crash_before=crash)
            assert finish(w, done) == expected


def test_at_rest_another_pass_writes_nothing() -> None:
    w = served()

    assert not w.plan().writes


# Drains


def test_each_predictor_has_one_budget_that_goes_with_it() -> None:
    w = served()
    assert w.names("PodDisruptionBudget") == sorted([*w.backends(), "search-router"])

    new_model(w)
    serve(w)

    assert w.names("PodDisruptionBudget") == sorted([*w.backends(), "search-router"])


def test_a_budget_that_a_person_made_for_a_predictor_is_left_alone() -> None:
    w = world()
    serve(w)
    name = w.backends()[0]
    del w.objects[ObjectKey("PodDisruptionBudget", name)]
    theirs = w.add({"kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": {"minAvailable": 1}})

    plan = w.step()

    assert statuses(plan)["reason"] == "Serving"
    assert w.find("PodDisruptionBudget", name) == theirs


# The router


def test_a_tiers_guard_reaches_the_routers_and_makes_another_composition() -> None:
    w = served()
    before = w.config().stable
    tiers = copy.deepcopy(w.resource["spec"]["tiers"])
    tiers[1]["guard"] = {"maxQuestions": 4, "breakerPause": "3s", "hedgeAfter": "20ms"}
    w.edit(tiers=tiers)
    serve(w)

    found = w.config().stable_composition().tiers.torso
    assert found is not None
    assert found.predictor is not None
    guard = found.predictor.guard
    assert (guard.max_questions, guard.breaker_pause_ms, guard.hedge_ms, guard.retry_percent) == (4, 3000, 20, 10)
    assert w.config().stable != before


def test_a_certificate_that_is_added_renders_pods_and_service_again_and_changes_the_address() -> None:
    w = served()
    w.edit(router={"tls": {"secretRef": {"name": "cert"}}})
    status = serve(w).status

    assert [port["name"] for port in w.find("Service", "search-router")["spec"]["ports"]] == ["http", "https"]
    assert "--tls-folder" in str(w.find("Deployment", "search-router"))
    assert status["url"].startswith("https://search-router.")


def test_a_head_store_needs_no_build_and_its_secret_reaches_the_routers_alone() -> None:
    w = world()
    tiers = copy.deepcopy(w.resource["spec"]["tiers"])
    tiers[0]["cache"] = {"store": {"url": "rediss://cache:6379/0", "secretRef": {"name": "cache"}, "timeout": "15ms"}}
    w.edit(tiers=tiers)
    status = serve(w).status

    found = w.config().stable_composition().head_store
    assert found is not None
    assert (found.url, found.scored_by, found.timeout_ms) == ("rediss://cache:6379/0", "tail", 15)
    assert found.credentials == "/mnt/lore/secrets/cache"
    assert w.names("Job") == []
    assert status["tiers"][0]["phase"] == "Ready"
    pod = w.find("Deployment", "search-router")["spec"]["template"]["spec"]
    mounts = {item["name"]: [mount["mountPath"] for mount in item["volumeMounts"]] for item in pod["containers"]}
    assert "/mnt/lore/secrets/cache" in mounts["lore"]
    assert "/mnt/lore/secrets/cache" not in mounts["lore-loader"]


def on_gpus(limit: str) -> dict[str, Any]:
    return {"tensorParallel": 4, "runner": {"resources": {"limits": {"nvidia.com/gpu": limit}}}}


def test_a_model_on_more_gpus_than_its_pod_has_is_refused_while_the_old_one_serves_on() -> None:
    w = world()
    serve(w)
    before = w.backends()
    w.edit_tier("tail", **on_gpus("2"))

    plan = w.settle()

    assert (statuses(plan)["reason"], statuses(plan)["Available"]) == ("ImpossibleResources", "True")
    assert w.backends() == before


def test_a_model_on_as_many_gpus_as_its_pod_has_is_served() -> None:
    w = world()
    serve(w)
    before = w.backends()
    w.edit_tier("tail", **on_gpus("4"))

    serve(w)

    assert statuses(w.plan())["reason"] == "Serving"
    assert w.backends() != before
