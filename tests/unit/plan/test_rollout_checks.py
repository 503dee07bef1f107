"""Rollout steps that ask Prometheus or wait for verdicts: what passes, fails, and what is not known and so holds."""

from typing import Any

import pytest
from unit.plan.serving_world import ServingWorld, evaluation, serve
from unit.plan.test_rollout_steps import candidate, rolling
from unit.plan.world import condition, statuses

from lore_core.router.config import RevisionStatistics
from lore_operator.plan.types import Measurement, Object, ObjectKey

CHECK = {"name": "errors", "query": 'errors{revision="${revision}", stable="${stable}"}', "max": "0.02"}
ENOUGH = RevisionStatistics(answers=60)


def held(**analysis: Any) -> ServingWorld:
    """A candidate on a step with this analysis; its routers have seen enough."""
    w = rolling({"weight": 10, "analysis": {"minSamples": 50, **analysis}})
    w.statistics = {candidate(w): ENOUGH}
    return w


def query(w: ServingWorld) -> str:
    return f'errors{{revision="{candidate(w)}", stable="{w.config().stable}"}}'


def message(w: ServingWorld) -> str:
    found = condition(w.resource["status"], "Ready")
    assert found is not None
    return str(found["message"])


def rolled_back(w: ServingWorld) -> str:
    stalled = condition(w.resource["status"], "Stalled")
    assert stalled is not None
    assert stalled["reason"] == "RolledBack"
    return str(stalled["message"])


def test_a_number_within_bounds_lets_go() -> None:
    w = held(prometheus=[CHECK])
    found = candidate(w)
    w.prometheus = {query(w): Measurement(0.02)}
    serve(w)
    assert w.config().stable == found


@pytest.mark.parametrize(("bounds", "value"), [({"max": "0.02"}, 0.021), ({"max": "9", "min": "0.5"}, 0.4)])
def test_a_number_out_of_bounds_fails_the_candidate_at_once(bounds: dict[str, str], value: float) -> None:
    check = {key: text for key, text in CHECK.items() if key != "max"} | bounds
    w = held(prometheus=[check])
    stable = w.config().stable
    w.prometheus = {query(w): Measurement(value)}
    serve(w)
    assert [c.revision for c in w.config().compositions] == [stable]
    assert f"errors: Prometheus says {value:g}" in rolled_back(w)


def test_without_an_answer_the_rollout_waits_and_asks_again() -> None:
    w = held(prometheus=[CHECK])
    name = candidate(w)
    for problem in ("the query found no data", "Prometheus cannot be reached"):
        w.prometheus = {query(w): Measurement(problem=problem)}
        serve(w)
        assert statuses(w.plan())["reason"] == "AnalysisInconclusive"
        assert f"step 1: errors: {problem}" in message(w)
        assert w.plan().wake_at is not None
        assert candidate(w) == name


def test_a_view_in_which_nobody_was_asked_is_no_pass() -> None:
    from dataclasses import replace

    w = held(prometheus=[CHECK])
    w.prometheus = {query(w): Measurement(0.0)}
    blind = replace(w.observed(), measurements={})
    assert statuses(w.plan(blind))["reason"] == "AnalysisInconclusive"


def test_one_broken_check_fails_though_another_has_no_answer() -> None:
    w = held(prometheus=[CHECK, {"name": "sales", "query": "sales", "min": "1"}])
    w.prometheus = {query(w): Measurement(0.5)}
    serve(w)
    assert "errors: Prometheus says 0.5" in rolled_back(w)


def test_nothing_is_judged_before_there_are_samples() -> None:
    w = held(prometheus=[CHECK])
    w.statistics = {}
    w.prometheus = {query(w): Measurement(0.5)}
    serve(w)
    assert statuses(w.plan())["reason"] == "AwaitingSamples"


def test_a_verdict_lets_go_and_until_then_the_rollout_waits() -> None:
    w = held(evaluations=["live"])
    found = candidate(w)
    serve(w)
    assert "evaluation live: there is no RelevanceEval of this name" in message(w)
    w.add(evaluation("live", "f", verdict=None))
    serve(w)
    assert "evaluation live: it has no verdict yet" in message(w)
    w.find("RelevanceEval", "live")["status"]["verdict"] = "Passed"
    serve(w)
    assert w.config().stable == found


@pytest.mark.parametrize(
    ("letter", "verdict", "words"),
    [
        ("f", "Inconclusive", "its verdict is Inconclusive"),
        ("a", "Passed", "it judged no model of the new composition"),
    ],
)
def test_a_verdict_that_proves_nothing_of_the_candidate_holds_it(letter: str, verdict: str, words: str) -> None:
    w = held(evaluations=["live"])
    w.add(evaluation("live", letter, verdict=verdict))
    serve(w)
    assert statuses(w.plan())["reason"] == "AnalysisInconclusive"
    assert words in message(w)


def test_a_failed_verdict_fails_the_candidate() -> None:
    w = held(evaluations=["live"])
    stable = w.config().stable
    w.add(evaluation("live", "f", verdict="Failed"))
    serve(w)
    assert [c.revision for c in w.config().compositions] == [stable]
    assert "evaluation live: its verdict is Failed" in rolled_back(w)


def of_traffic(revision: str | None) -> Object:
    found = evaluation("live", "a", verdict="Passed")
    del found["status"]["model"]
    return found | {"status": found["status"] | {"traffic": {"revision": revision} if revision else {}}}


def test_a_verdict_on_traffic_counts_where_it_judged_what_the_candidate_answered() -> None:
    w = held(evaluations=["live"])
    found, stable = candidate(w), w.config().stable
    for judged in (None, stable):
        w.objects[ObjectKey("RelevanceEval", "live")] = of_traffic(judged)
        serve(w)
        assert "evaluation live: it judged no traffic of the new composition" in message(w)
    w.objects[ObjectKey("RelevanceEval", "live")] = of_traffic(found)
    serve(w)
    assert w.config().stable == found


def test_a_verdict_on_a_served_tier_counts_by_its_model() -> None:
    w = held(evaluations=["live"])
    found = candidate(w)
    live = evaluation("live", "f")
    live["status"]["tier"] = live["status"].pop("model")
    w.add(live)
    serve(w)
    assert w.config().stable == found


def test_an_override_of_a_person_counts() -> None:
    w = held(evaluations=["live"])
    found = candidate(w)
    w.add(evaluation("live", "f", verdict="Failed", override={"by": "ada", "expires": "2099-01-01", "reason": "known"}))
    serve(w)
    assert w.config().stable == found
