"""What a newcomer gets from `examples/`: the demo's own steps, and what they must lead to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from e2e.platform import Platform, conditions

from hack.demo import ask, examples, follow, gates, install, steps
from hack.demo.examples import NAMESPACE


@dataclass(frozen=True)
class Quickstart:
    """Everything of examples/ applied, followed to its end, and the router asked."""

    platform: Platform
    objects: dict[tuple[str, str], dict[str, Any]]
    answers: dict[str, tuple[ask.Question, ask.Answer]]


@pytest.fixture(scope="module")
def quickstart(platform: Platform) -> Iterator[Quickstart]:
    kubectl = platform.kubectl
    steps.fill_workspace(platform.target, platform.references["router"], platform.made)
    steps.train(kubectl)
    examples.apply(kubectl, "quickstart-gates")
    steps.serve(kubectl)
    answers = {question.stratum: (question, answer) for question, answer in steps.ask_router(kubectl, platform.made)}
    steps.show_gate(kubectl)
    found = {(item["kind"], item["metadata"]["name"]): item for item in follow.Follower(kubectl, NAMESPACE).objects()}
    yield Quickstart(platform, found, answers)
    kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=300s")
    platform.release(NAMESPACE)


def owner_kinds(item: dict[str, Any]) -> set[str]:
    return {owner["name"] for owner in item["metadata"].get("ownerReferences", [])}


def test_both_stages_finish_and_publish_their_models(quickstart: Quickstart) -> None:
    status = quickstart.objects[steps.TRAIN_JOB]["status"]

    assert [(stage["name"], stage["phase"], stage["published"]) for stage in status["stages"]] == [
        ("sft", "Succeeded", "lore-q"),
        ("student", "Succeeded", "lore-q-student"),
    ]
    models = quickstart.platform.items(NAMESPACE, "relevancemodels.lore-platform.io")
    assert {"lore-q", "lore-q-student"} <= {model["metadata"]["name"] for model in models}


def test_a_stage_runs_on_two_pods(quickstart: Quickstart) -> None:
    jobs = {job["metadata"]["name"]: job for job in quickstart.platform.items(NAMESPACE, "jobs.batch")}

    assert jobs["lore-q-sft-a1"]["spec"]["completions"] == 2
    assert jobs["lore-q-sft-a1"]["status"]["succeeded"] == 2


def test_both_models_pass_their_gates_with_intervals_in_the_message(quickstart: Quickstart) -> None:
    for key in steps.EVALUATIONS:
        status = quickstart.objects[key]["status"]
        assert status["verdict"] == "Passed"
        assert all("[" in gate["message"] for gate in status["gates"])


@pytest.mark.parametrize("stratum", ["head", "torso", "tail"])
def test_each_stratum_is_answered_by_its_own_tier(quickstart: Quickstart, stratum: str) -> None:
    question, answer = quickstart.answers[stratum]

    assert (answer.stratum, answer.body["tier"]) == (stratum, stratum)
    assert [item["id"] for item in answer.body["items"]] == list(question.labels)
    assert all(sum(item["probabilities"]) == pytest.approx(1.0, abs=1e-3) for item in answer.body["items"])


def test_all_answers_come_from_the_stable_revision(quickstart: Quickstart) -> None:
    stable = quickstart.objects[steps.DEPLOYMENT]["status"]["stable"]

    assert {answer.revision for _, answer in quickstart.answers.values()} == {stable}


def test_a_model_without_rules_passes_the_floor_and_is_blocked_by_the_rule_slice(quickstart: Quickstart) -> None:
    status = quickstart.objects["RelevanceEval", gates.EVALUATION]["status"]
    found = {gate["name"]: gate for gate in status["gates"]}

    assert status["verdict"] == "Failed"
    assert found["relevance-floor"]["outcome"] == "Passed"
    assert found["rules-no-regression"]["outcome"] == "Failed"
    message = found["rules-no-regression"]["message"]
    assert "rules" in message
    assert "[" in message
    assert "lore-q" in message


@pytest.mark.parametrize(("name", "why"), [("without-rules", "rules-no-regression"), ("retyped", "serving profile")])
def test_what_has_no_verdict_gets_no_predictor_and_is_told_why(quickstart: Quickstart, name: str, why: str) -> None:
    deployment = quickstart.objects["RelevanceDeployment", name]
    stalled = conditions(deployment)["Stalled"]

    assert (stalled["status"], stalled["reason"]) == ("True", "GateBlocked")
    assert why in stalled["message"]
    assert gates.predictors(quickstart.platform.kubectl, deployment) == []


def test_every_pod_of_the_quickstart_keeps_to_the_restricted_profile(quickstart: Quickstart) -> None:
    pods = quickstart.platform.items(NAMESPACE, "pods")

    assert pods
    for pod in pods:
        for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"], pod["metadata"]["name"]
            assert security["capabilities"]["drop"] == ["ALL"], pod["metadata"]["name"]


def test_helm_test_finds_the_operator_ready(quickstart: Quickstart) -> None:
    said = install.helm(quickstart.platform.kubectl, "test", install.RELEASE, "--timeout=2m")

    assert "Succeeded" in said


def test_the_report_shows_every_part(quickstart: Quickstart) -> None:
    from hack.demo.phases import Phases

    pairs = list(quickstart.answers.values())

    text = steps.report(quickstart.platform.kubectl, pairs, Phases(spent=[("training", 60.0)]))

    for part in ("lore-q-student", "Passed", "head", "rules-no-regression", "predictors: none", "training"):
        assert part in text
