"""The former composition after a takeover: kept with its predictors for rollout.keepFor, and then let go."""

from datetime import timedelta

from unit.plan.serving_world import ServingWorld, evaluation, model, serve, world
from unit.plan.world import condition

HOUR = timedelta(hours=1)


def taken_over(keep_for: str) -> tuple[ServingWorld, str]:
    """A better model has taken all queries; also the former composition's name."""
    w = world()
    serve(w)
    former = w.config().stable
    w.add(model("llm-2", "f"))
    w.add(evaluation("llm-2-eval", "f"))
    w.edit(rollout={"keepFor": keep_for})
    w.edit_tier("tail", modelRef={"name": "llm-2"})
    serve(w)
    return w, former


def test_within_its_time_the_former_one_is_loaded_its_predictors_run_and_nothing_waits_for_it() -> None:
    w, former = taken_over("1h")

    status = w.resource["status"]
    assert {item.revision: item.weights.tail for item in w.config().compositions} == {status["stable"]: 100, former: 0}
    assert len(w.backends()) == 3
    assert (condition(status, "Ready")["status"], "candidate" in status) == ("True", False)
    assert {row["revision"]: row["outcome"] for row in status["revisions"]} == {
        status["stable"]: "Stable",
        former: "Kept",
    }


def test_going_back_within_that_time_starts_no_predictor_and_builds_no_head() -> None:
    w, former = taken_over("1h")
    before = {name: w.find("InferenceService", name)["metadata"]["uid"] for name in w.backends()}
    jobs = w.names("Job")

    w.edit(rollout={"keepFor": "1h", "pinRevision": former})
    w.step()
    w.routers_follow()
    serve(w)

    assert w.config().stable == former
    assert {name: w.find("InferenceService", name)["metadata"]["uid"] for name in w.backends()} == before
    assert w.names("Job") == jobs


def test_when_the_time_is_over_it_is_drained_before_its_predictors_go() -> None:
    w, former = taken_over("1h")
    assert w.plan().wake_at == w.now + HOUR

    w.now += HOUR
    w.step()
    assert [item.revision for item in w.config().compositions] != [former]
    assert len(w.config().compositions) == 1
    assert len(w.backends()) == 3  # a router that has not followed may still ask them
    serve(w)

    assert len(w.backends()) == 2


def test_without_keep_for_nothing_is_kept() -> None:
    w, _ = taken_over("0s")

    assert (len(w.config().compositions), len(w.backends())) == (1, 2)
