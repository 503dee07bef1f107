"""rollout.surge PerTier: a tier's old predictor goes before the new one comes, and nobody is ever sent to what is not Ready."""

import contextlib
import copy
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from unit.plan.serving_world import SPEC, ServingWorld, advance, build_head, evaluation, model, serve, world
from unit.plan.world import Crash, condition, statuses

from lore_core.router.config import RevisionStatistics, RouterConfig, Stratum
from lore_operator.plan.types import Plan

HOUR = timedelta(hours=1)
ROOM = 2
"""Predictors that the cluster has room for."""


def tiers(tail_fallback: list[str]) -> list[dict[str, Any]]:
    found = copy.deepcopy(SPEC["tiers"])
    found[2]["fallback"] = tail_fallback
    return list(found)


def served(*steps: dict[str, Any], **rollout: Any) -> ServingWorld:
    w = world(tiers=tiers(["torso"]), rollout={"surge": "PerTier", "steps": list(steps), **rollout})
    serve(w)
    return w


def publish(w: ServingWorld, name: str, letter: str, role: str = "Generative") -> None:
    w.add(model(name, letter, role))
    w.add(evaluation(f"{name}-eval", letter))


def new_tail(w: ServingWorld, name: str = "llm-2", letter: str = "f") -> None:
    publish(w, name, letter)
    w.edit_tier("tail", modelRef={"name": name})


def new_torso(w: ServingWorld) -> None:
    publish(w, "student-2", "7", "Classifier")
    w.edit_tier("torso", modelRef={"name": "student-2"})


def backend(w: ServingWorld, model_name: str) -> str | None:
    """The predictor of a model, where there is one."""
    place = re.compile(rf"pvc://lore/{model_name}-[0-9a-f](?!-)")
    return next((name for name in w.backends() if place.search(str(w.find("InferenceService", name)))), None)


def resting(w: ServingWorld) -> frozenset[Stratum]:
    return w.config().stable_composition().tiers.resting()


def asked(config: RouterConfig) -> set[str]:
    """Predictors that queries may be sent to."""
    weighted = [item for item in config.compositions if any(map(item.weights.of, ("head", "torso", "tail")))]
    predictors = [tier.predictor for item in weighted for tier in item.tiers.present().values()]
    return {found.model_name for found in predictors if found and not found.rests}


def ready(w: ServingWorld) -> set[str]:
    conditions = {
        name: (w.find("InferenceService", name).get("status") or {}).get("conditions") for name in w.backends()
    }
    return {name for name, found in conditions.items() if found == [{"type": "Ready", "status": "True"}]}


def watched_step(w: ServingWorld) -> Plan:
    """One pass: what routers asked before it, and what they are told now, is there and Ready, and there is room for all."""
    before = w.config()
    plan = w.step()
    w.collect()
    assert asked(before) | asked(w.config()) <= ready(w)
    assert len(w.backends()) <= ROOM
    return plan


def watch(w: ServingWorld, helped: Callable[[ServingWorld], None] = advance, most: int = 60) -> Plan:
    """As `serve`, every pass watched; `helped` is what everybody outside the operator does."""
    for _ in range(most):
        before = copy.deepcopy((w.objects, w.resource, w.routers))
        plan = watched_step(w)
        helped(w)
        if before == (w.objects, w.resource, w.routers):
            return plan
    raise AssertionError("the rollout does not come to rest")


def nothing_loads(w: ServingWorld) -> None:
    """Routers follow and heads are built; predictors that are new stay as they are."""
    build_head(w)
    w.routers_follow()
    w.kserve_cleans_up()


def until_the_new_one_is_started(w: ServingWorld) -> None:
    watch(w, nothing_loads)
    assert (resting(w), backend(w, "llm")) == ({"tail"}, None)


def test_the_tiers_old_predictor_goes_first_and_the_other_tier_is_not_touched() -> None:
    w = served()
    student = w.find("InferenceService", str(backend(w, "student")))["metadata"]["uid"]
    new_tail(w)

    until_the_new_one_is_started(w)
    told = condition(w.resource["status"], "TierResting")
    assert told is not None
    assert "queries of tail are answered by the tier's fallback" in told["message"]
    assert statuses(w.plan())["Available"] == "True"

    assert statuses(watch(w))["reason"] == "Serving"
    assert (backend(w, "llm"), resting(w)) == (None, frozenset())
    assert backend(w, "llm-2") in asked(w.config())
    assert w.find("InferenceService", str(backend(w, "student")))["metadata"]["uid"] == student
    assert condition(w.resource["status"], "TierResting") is None


def test_the_head_is_built_before_anything_rests() -> None:
    w = served()
    new_tail(w)
    w.settle()

    assert statuses(w.plan())["reason"] == "BuildingHead"
    assert (resting(w), len(w.backends())) == (frozenset(), 2)


def test_the_old_predictor_stays_until_every_router_knows_that_its_tier_rests() -> None:
    w = served()
    new_tail(w)
    watch(w, build_head)

    assert statuses(w.plan())["reason"] == "AwaitingRouters"
    assert (resting(w), bool(backend(w, "llm"))) == ({"tail"}, True)
    w.routers["router-0"] = w.config().content_digest()
    watch(w, build_head)
    assert backend(w, "llm")
    w.routers["router-1"] = w.config().content_digest()
    watch(w, build_head)
    assert backend(w, "llm") is None


def test_a_new_predictor_is_not_made_while_the_old_one_is_still_going() -> None:
    w = served()
    new_tail(w)
    for _ in range(20):
        plan = w.step()
        nothing_loads(w)
    assert statuses(plan)["reason"] == "ReplacingPredictor"
    assert backend(w, "llm-2") is None
    w.collect()
    w.step()
    assert backend(w, "llm-2")


def test_nothing_rests_while_its_fallback_is_not_ready() -> None:
    w = served()
    new_tail(w)
    w.find("InferenceService", str(backend(w, "student")))["status"] = {}
    for _ in range(10):
        plan = w.step()
        nothing_loads(w)

    assert statuses(plan)["reason"] == "AwaitingFallback"
    assert (resting(w), bool(backend(w, "llm"))) == (frozenset(), True)
    assert statuses(watch_after(w))["reason"] == "Serving"


def watch_after(w: ServingWorld) -> Plan:
    w.kserve_works()
    return watch(w)


def test_where_the_new_one_does_not_load_the_old_one_comes_back_and_is_asked_once_it_is_ready() -> None:
    w = served()
    stable = w.config().stable
    new_tail(w)
    until_the_new_one_is_started(w)
    w.fall(str(backend(w, "llm-2")))

    plan = watch(w, nothing_loads)
    assert statuses(plan)["reason"] == "RolledBack"
    assert (backend(w, "llm-2"), bool(backend(w, "llm"))) == (None, True)
    assert resting(w) == {"tail"}, "it loads"

    plan = watch(w)
    assert statuses(plan)["reason"] == "RolledBack"
    assert "PredictorFailed" in str(condition(plan, "Ready"))
    assert (w.config().stable, resting(w), len(w.config().compositions)) == (stable, frozenset(), 1)


def test_where_the_new_one_is_not_ready_in_time_the_old_one_comes_back() -> None:
    w = served(prepareDeadline="1h")
    new_tail(w)
    until_the_new_one_is_started(w)
    w.pass_time(HOUR)

    plan = watch(w)
    assert "PrepareDeadlineExceeded" in str(condition(plan, "Ready"))
    assert (bool(backend(w, "llm")), backend(w, "llm-2"), resting(w)) == (True, None, frozenset())


def test_the_new_composition_takes_its_steps_and_one_that_fails_there_gives_everything_back() -> None:
    step = {"weight": 20, "for": "1h", "analysis": {"minSamples": 10, "maxNeutralPercent": 0}}
    w = served(step)
    stable = w.config().stable
    new_tail(w)
    watch(w)
    candidate = next(item for item in w.config().compositions if item.revision != stable)
    assert (candidate.weights.tail, candidate.tiers.resting(), resting(w)) == (20, frozenset(), {"tail"})
    w.statistics = {candidate.revision: RevisionStatistics(answers=10, neutral=1)}

    assert "AnalysisFailed" in str(condition(watch(w), "Ready"))
    assert (w.weights(), resting(w), bool(backend(w, "llm"))) == ({stable: 100}, frozenset(), True)


def test_a_rollout_that_pauses_on_failure_leaves_the_tier_at_rest() -> None:
    w = served(onFailure="Pause")
    new_tail(w)
    until_the_new_one_is_started(w)
    w.fall(str(backend(w, "llm-2")))

    assert statuses(watch(w, nothing_loads))["reason"] == "RolloutPaused"
    assert (resting(w), backend(w, "llm")) == ({"tail"}, None)


def revert(w: ServingWorld) -> None:
    w.edit_tier("tail", modelRef={"name": "llm"})


def unjudged(w: ServingWorld) -> None:
    w.add(model("llm-9", "9"))
    w.edit_tier("tail", modelRef={"name": "llm-9"})


def unknown(w: ServingWorld) -> None:
    w.edit_tier("tail", modelRef={"name": "nobody"})


def both(w: ServingWorld) -> None:
    new_torso(w)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (revert, "Serving"),
        (unjudged, "GateBlocked"),
        (unknown, "AwaitingModel"),
        (both, "SeveralTiersChange"),
    ],
)
def test_a_spec_that_goes_no_further_in_the_middle_brings_the_old_predictor_back(
    change: Callable[[ServingWorld], None], reason: str
) -> None:
    w = served()
    new_tail(w)
    until_the_new_one_is_started(w)
    change(w)

    assert statuses(watch(w))["reason"] == reason
    assert (bool(backend(w, "llm")), backend(w, "llm-2"), resting(w)) == (True, None, frozenset())


def test_a_newer_model_in_the_middle_takes_the_place_that_was_made() -> None:
    w = served({"weight": 20, "for": "1h"})
    new_tail(w)
    watch(w)
    new_tail(w, "llm-3", "8")
    w.pass_time(HOUR)
    watch(w)
    w.pass_time(HOUR)

    assert statuses(watch(w))["reason"] == "Serving"
    assert backend(w, "llm-3") in asked(w.config())


def test_another_tier_in_the_middle_waits_until_the_first_is_whole_again() -> None:
    w = served()
    new_tail(w)
    until_the_new_one_is_started(w)
    revert(w)
    new_torso(w)

    assert statuses(watch(w))["reason"] == "Serving"
    assert asked(w.config()) == {backend(w, "llm"), backend(w, "student-2")}


def test_going_back_by_a_pin_makes_room_the_same_way() -> None:
    w = served()
    first = w.config().stable
    new_tail(w)
    watch(w)
    w.edit(rollout={"surge": "PerTier", "pinRevision": first})

    watch(w)
    assert (w.config().stable, resting(w), bool(backend(w, "llm"))) == (first, frozenset(), True)


def test_a_pinned_revision_that_is_not_ready_in_time_gives_its_place_back() -> None:
    w = served()
    first = w.config().stable
    new_tail(w)
    watch(w)
    second = w.config().stable
    w.edit(rollout={"surge": "PerTier", "pinRevision": first, "prepareDeadline": "1h"})
    watch(w, nothing_loads)
    assert (resting(w), backend(w, "llm-2")) == ({"tail"}, None)
    w.pass_time(HOUR)

    assert "PrepareDeadlineExceeded" in str(condition(watch(w), "Ready"))
    assert (w.config().stable, resting(w), bool(backend(w, "llm-2"))) == (second, frozenset(), True)


def test_a_pin_back_before_the_former_composition_is_drained_starts_with_its_predictor() -> None:
    w = served()
    first = w.config().stable
    new_tail(w)
    while w.config().stable == first:
        watched_step(w)
        advance(w)
    assert first in {item.revision for item in w.config().compositions}
    w.edit(rollout={"surge": "PerTier", "pinRevision": first})

    watch(w)
    assert (w.config().stable, resting(w), bool(backend(w, "llm"))) == (first, frozenset(), True)


def test_a_pin_back_beside_the_other_predictors_gives_no_weight_to_a_composition_with_a_tier_at_rest() -> None:
    w = served()
    first = w.config().stable
    new_tail(w)
    while w.config().stable == first:
        watched_step(w)
        advance(w)
    w.edit(rollout={"surge": "All", "pinRevision": first})
    while w.config().stable != first:
        w.step()
        w.collect()
        back = next((item for item in w.config().compositions if item.revision == first), None)
        assert back is None or not (back.weights.tail and back.tiers.resting())
        advance(w)

    assert statuses(serve(w))["reason"] == "Serving"
    assert resting(w) == frozenset()


def test_two_tiers_at_once_are_refused_and_nothing_moves() -> None:
    w = served()
    before = w.config()
    publish(w, "llm-2", "f")
    new_torso(w)
    w.edit_tier("tail", modelRef={"name": "llm-2"})

    plan = watch(w)
    assert statuses(plan)["reason"] == "SeveralTiersChange"
    assert "tail, torso" in str(condition(plan, "Ready"))
    assert w.config() == before


def test_a_composition_without_a_fallback_keeps_its_predictor() -> None:
    w = world(tiers=tiers([]))
    serve(w)
    publish(w, "llm-2", "f")
    w.edit(tiers=tiers(["torso"]), rollout={"surge": "PerTier"})
    w.edit_tier("tail", modelRef={"name": "llm-2"})

    plan = watch(w)
    assert statuses(plan)["reason"] == "NoFallback"
    assert backend(w, "llm") in asked(w.config())


def test_what_changes_no_predictor_lets_nothing_rest() -> None:
    w = served()
    before = w.backends()
    w.edit(items={"uri": "pvc://lore/items-2", "digest": "sha256:" + "5" * 64})
    rested = []

    def noted(w: ServingWorld) -> None:
        rested.append(resting(w))
        advance(w)

    assert statuses(watch(w, noted))["reason"] == "Serving"
    assert (w.backends(), set(rested)) == (before, {frozenset()})


def test_a_predictor_that_another_deployment_has_too_is_left_to_it() -> None:
    w = served()
    name = str(backend(w, "llm"))
    w.find("InferenceService", name)["metadata"]["ownerReferences"].append({"uid": "theirs", "name": "other"})
    new_tail(w)
    serve(w)

    assert [owner["uid"] for owner in w.find("InferenceService", name)["metadata"]["ownerReferences"]] == ["theirs"]
    assert statuses(w.plan())["reason"] == "Serving"


def states() -> list[ServingWorld]:
    """The world before every pass of a rollout."""
    w = served({"weight": 20})
    new_tail(w)
    found = []
    for _ in range(60):
        found.append(w.copy())
        before = copy.deepcopy((w.objects, w.resource, w.routers))
        watched_step(w)
        advance(w)
        if before == (w.objects, w.resource, w.routers):
            return found
    raise AssertionError("the rollout does not come to rest")


def test_a_wiped_status_or_a_crash_before_any_write_leads_to_the_same_end() -> None:
    for state in states():
        told = state.plan()
        wiped = state.copy()
        wiped.resource.pop("status", None)
        plan = wiped.plan()
        assert (plan.apply, plan.patch, plan.delete) == (told.apply, told.patch, told.delete)
        for crash in range(len(plan.apply) + len(plan.patch) + len(plan.delete) + 1):
            w = state.copy()
            with contextlib.suppress(Crash):
                w.step(crash_before=crash)
            w.collect()
            assert statuses(watch(w))["reason"] == "Serving"
            assert asked(w.config()) == {backend(w, "llm-2"), backend(w, "student")}
