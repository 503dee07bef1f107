"""How a rollout's steps move, hold and fail: strata, shadow, analysis, approval, pause."""

from datetime import timedelta
from typing import Any

import pytest
from unit.plan.serving_world import ServingWorld, evaluation, model, serve, world
from unit.plan.world import condition, statuses

from lore_core.router.config import RevisionStatistics

HOUR = timedelta(hours=1)


def rolling(*steps: dict[str, Any], **rollout: Any) -> ServingWorld:
    """A served deployment whose tail gets a better model, taken over in these steps; at rest as far as it goes by itself."""
    w = world()
    serve(w)
    w.add(model("llm-2", "f"))
    w.add(evaluation("llm-2-eval", "f"))
    w.edit(rollout={"steps": list(steps), **rollout})
    w.edit_tier("tail", modelRef={"name": "llm-2"})
    serve(w)
    return w


def weights(w: ServingWorld) -> dict[str, int]:
    """The candidate's."""
    candidate = next(c for c in w.config().compositions if c.revision != w.config().stable)
    return {stratum: candidate.weights.of(stratum) for stratum in ("head", "torso", "tail")}


def candidate(w: ServingWorld) -> str:
    return next(c.revision for c in w.config().compositions if c.revision != w.config().stable)


def later(w: ServingWorld) -> None:
    w.now += HOUR
    serve(w)


def test_strata_move_one_after_another_the_tail_first() -> None:
    w = rolling(
        {"weight": 20, "strata": ["tail"], "for": "1h"},
        {"weight": 100, "strata": ["tail"], "for": "1h"},
        {"weight": 50, "strata": ["head", "torso"], "for": "1h"},
    )
    seen = []
    for _ in range(3):
        seen.append((w.resource["status"]["step"], weights(w)))
        stable = w.config().stable_composition()
        assert all(stable.weights.of(s) == 100 - share for s, share in weights(w).items())
        later(w)
    assert seen == [
        (1, {"head": 0, "torso": 0, "tail": 20}),
        (2, {"head": 0, "torso": 0, "tail": 100}),
        (3, {"head": 50, "torso": 50, "tail": 100}),
    ]
    assert len(w.config().compositions) == 1


def test_a_shadow_step_moves_nothing_and_ends_before_weight_moves() -> None:
    w = rolling({"shadow": 5, "for": "1h"}, {"weight": 10, "for": "1h"})
    shadowed = w.config().shadowed()
    assert shadowed is not None
    assert (shadowed.revision, shadowed.shadow_percent) == (candidate(w), 5)
    assert set(weights(w).values()) == {0}
    later(w)
    assert w.config().shadowed() is None
    assert set(weights(w).values()) == {10}


AGREE = {"shadow": 5, "analysis": {"minSamples": 50, "minAgreementPercent": 90, "maxGradeDifference": "0.2"}}
HEALTHY = {"weight": 10, "analysis": {"minSamples": 50, "maxFallbackPercent": 2, "maxNeutralPercent": 1}}
GOOD_SHADOW = RevisionStatistics(mirrored=30, compared_items=200, agreeing_items=190, grade_difference=20.0)
GOOD_WEIGHT = RevisionStatistics(answers=30, fallbacks=0, neutral=0)


@pytest.mark.parametrize(("step", "good"), [(AGREE, GOOD_SHADOW), (HEALTHY, GOOD_WEIGHT)])
def test_an_analysis_waits_for_samples_of_all_routers_and_then_lets_go(
    step: dict[str, Any], good: RevisionStatistics
) -> None:
    w = rolling(step)
    assert statuses(w.plan())["reason"] == "AwaitingSamples"
    assert w.plan().wake_at is not None
    w.statistics = {candidate(w): good}  # two routers: 60 of the 50 needed
    serve(w)
    assert len(w.config().compositions) == 1


@pytest.mark.parametrize(
    ("step", "change", "words"),
    [
        (AGREE, {"agreeing_items": 170}, "85.00 % of items got the stable one's label, minAgreementPercent 90"),
        (AGREE, {"grade_difference": 50.0}, "grades differ by 0.2500 on average"),
        (HEALTHY, {"fallbacks": 1}, "3.33 % needed a fallback, maxFallbackPercent 2"),
        (HEALTHY, {"neutral": 1}, "3.33 % were answered by no tier"),
    ],
)
def test_a_broken_bound_rolls_back_at_once_and_is_remembered(
    step: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    good = GOOD_SHADOW if step is AGREE else GOOD_WEIGHT
    w = rolling({**step, "for": "10h"})
    stable, failed = w.config().stable, candidate(w)
    w.statistics = {failed: good.model_copy(update=change)}
    serve(w)

    assert [c.revision for c in w.config().compositions] == [stable]
    stalled = condition(w.resource["status"], "Stalled")
    assert stalled is not None
    assert stalled["reason"] == "RolledBack"
    assert "AnalysisFailed" in stalled["message"]
    assert words in stalled["message"]
    w.statistics = {}
    later(w)
    assert [c.revision for c in w.config().compositions] == [stable]


def test_with_on_failure_pause_a_broken_bound_leaves_weights_as_they_are() -> None:
    w = rolling(HEALTHY, onFailure="Pause")
    w.statistics = {candidate(w): RevisionStatistics(answers=50, neutral=50)}
    serve(w)
    assert set(weights(w).values()) == {10}
    assert statuses(w.plan())["reason"] == "RolloutPaused"


def test_a_step_waits_for_a_person_who_names_revision_and_step() -> None:
    w = rolling({"weight": 10, "approval": True}, {"weight": 50, "approval": True})
    assert statuses(w.plan())["reason"] == "AwaitingApproval"
    assert statuses(w.plan())["Ready"] == "Unknown"
    name, steps = candidate(w), w.resource["spec"]["rollout"]["steps"]
    for wrong in ("search-0000000000/2", f"{name}/0"):
        w.edit(rollout={"steps": steps, "approve": wrong})
        serve(w)
        assert set(weights(w).values()) == {10}
    w.edit(rollout={"steps": steps, "approve": f"{name}/1"})
    serve(w)
    assert set(weights(w).values()) == {50}
    w.edit(rollout={"steps": steps, "approve": f"{name}/2"})
    serve(w)
    assert w.config().stable == name


def test_a_paused_rollout_holds_and_goes_on_where_it_was() -> None:
    w = rolling({"weight": 10, "for": "1h"}, {"weight": 50, "for": "1h"})
    steps = w.resource["spec"]["rollout"]["steps"]
    w.edit(rollout={"steps": steps, "paused": True})
    later(w)
    later(w)
    assert set(weights(w).values()) == {10}
    assert statuses(w.plan())["reason"] == "Paused"
    w.edit(rollout={"steps": steps})
    serve(w)
    assert set(weights(w).values()) == {50}


def test_a_rollback_in_mid_shadow_ends_the_mirroring() -> None:
    w = rolling({"shadow": 5, "for": "1h"})
    w.edit(rollout={"pinRevision": w.config().stable})
    serve(w)
    assert w.config().shadowed() is None
    assert len(w.config().compositions) == 1
