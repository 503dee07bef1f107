"""What a newcomer gets from `examples/`: the demo's own steps, and what they must lead to."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster.quickstart_page import run, sections
from e2e.platform import Platform, conditions

from hack.demo import ask, chorus, data, examples, follow, gates, install, seed, steps
from hack.demo.examples import NAMESPACE
from hack.demo.phases import Phases


@dataclass(frozen=True)
class Quickstart:
    """Everything of examples/ applied, followed to its end, and the router asked.

    `minutes` are from `helm install` to the first routed answer, images and data in place; the operator is killed once on
    the way. What else examples/ holds is applied after it.
    """

    platform: Platform
    training: dict[str, Any]
    minutes: float
    objects: dict[tuple[str, str], dict[str, Any]]
    answers: dict[str, tuple[ask.Question, ask.Answer]]
    judgements: data.Data | None


STAGE_JOB = f"{steps.TRAIN_JOB[1]}-sft-a1"

pytestmark = pytest.mark.timeout(3600)  # the first test waits for training, evaluation and roll-out


@pytest.fixture(scope="module")
def quickstart(platform: Platform) -> Iterator[Quickstart]:
    try:
        yield _followed(platform)
    finally:
        platform.kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=300s")
        platform.release(NAMESPACE)


def _followed(platform: Platform) -> Quickstart:
    kubectl = platform.kubectl
    steps.fill_workspace(platform.target, platform.references["router"], platform.made)
    started = time.monotonic() - platform.install_seconds
    training = _operator_killed_while_training(platform)
    steps.train(kubectl)
    steps.serve(kubectl)
    answers = {question.stratum: (question, answer) for question, answer in steps.ask_router(kubectl, platform.made)}
    minutes = (time.monotonic() - started) / 60
    examples.apply(kubectl, "quickstart-gates")
    folder = chorus.folder()
    judgements = chorus.prepare(folder) if folder else None
    if judgements is not None:
        steps.start_chorus(kubectl, platform.references["router"], judgements)
    steps.show_gate(kubectl)
    found = {(item["kind"], item["metadata"]["name"]): item for item in follow.Follower(kubectl, NAMESPACE).objects()}
    return Quickstart(platform, training, minutes, found, answers, judgements)


def _operator_killed_while_training(platform: Platform) -> dict[str, Any]:
    """SIGKILL for the operator while both pods of the first stage run; returns that stage's Job as it was then."""
    examples.apply(platform.kubectl, "quickstart")
    where, job = f"--namespace={NAMESPACE}", f"job/{STAGE_JOB}"
    platform.await_resource(
        NAMESPACE, *steps.TRAIN_JOB, "in a stage", lambda found: "stages" in found.get("status", {})
    )
    platform.kubectl("wait", where, job, "--for=jsonpath={.status.ready}=2", "--timeout=300s")
    found = platform.kubectl.get(job, where)
    platform.kill_operator()
    return found


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

    assert jobs[STAGE_JOB]["spec"]["completions"] == 2
    assert jobs[STAGE_JOB]["status"]["succeeded"] == 2


def test_an_operator_killed_while_a_stage_ran_finished_the_chain_with_the_same_job(quickstart: Quickstart) -> None:
    items = quickstart.platform.items(NAMESPACE, "jobs.batch")
    jobs = {job["metadata"]["name"]: job["metadata"]["uid"] for job in items}
    stages = quickstart.objects[steps.TRAIN_JOB]["status"]["stages"]

    tried = {name for name in jobs if name.startswith(("lore-q-sft-a", "lore-q-student-a"))}
    assert tried == {STAGE_JOB, "lore-q-student-a1"}
    assert jobs[STAGE_JOB] == quickstart.training["metadata"]["uid"]
    assert [stage["attempt"] for stage in stages] == [1, 1]


def test_both_models_pass_their_gates_with_intervals_in_the_message(quickstart: Quickstart) -> None:
    for key in steps.EVALUATIONS:
        status = quickstart.objects[key]["status"]
        assert status["verdict"] == "Passed"
        assert all("[" in gate["message"] for gate in status["gates"])


def test_the_last_section_of_the_page_leads_to_an_answer(
    quickstart: Quickstart, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines as they stand in docs/quickstart.md; those before them are run by tests/chart/test_quickstart.py."""
    done = run(sections()["Where pods run"], quickstart.platform.kubectl.kubeconfig, tmp_path)

    assert done.returncode == 0, done.stderr
    answer, _ = json.JSONDecoder().raw_decode(done.stdout, done.stdout.rindex('\n{"') + 1)
    assert [item["id"] for item in answer["items"]] == ["1"]
    assert answer["tier"] in ("head", "torso", "tail")
    with capsys.disabled():
        print(f"\nquickstart: {quickstart.minutes:.1f} minutes from helm install to a routed answer", end=" ")


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
    assert "needs.rule=true" in message
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


def test_a_predictor_takes_what_vllm_knows_of_its_model_from_the_image(quickstart: Quickstart) -> None:
    (name, *_) = (
        pod["metadata"]["name"]
        for pod in quickstart.platform.items(NAMESPACE, "pods")
        if pod["metadata"].get("labels", {}).get("component") == "predictor"
    )
    inside = ("exec", f"--namespace={NAMESPACE}", name, "--container=kserve-container", "--", "find")
    found = quickstart.platform.kubectl(*inside, "/tmp/.cache/vllm/modelinfos", "-name", "*.json").split()
    anew = quickstart.platform.kubectl(*inside, *found, "-newer", "/opt/lore/vllm/modelinfos").split()

    assert found
    assert anew == []


def test_helm_test_finds_the_operator_ready(quickstart: Quickstart) -> None:
    said = install.helm(quickstart.platform.kubectl, "test", install.RELEASE, "--timeout=2m")

    assert "Succeeded" in said


def test_the_report_shows_every_part(quickstart: Quickstart) -> None:
    pairs = list(quickstart.answers.values())

    text = steps.report(quickstart.platform.kubectl, pairs, Phases(spent=[("training", 60.0)]))

    for part in ("lore-q-student", "Passed", "head", "rules-no-regression", "predictors: none", "training"):
        assert part in text


@pytest.fixture(scope="module")
def chorus_answer(quickstart: Quickstart) -> tuple[ask.Question, ask.Answer]:
    """One held-out query of the real judgements, answered by the student that was trained on the others."""
    if quickstart.judgements is None:
        reason = "LORE_CHORUS_DIR is not set; it names the folder with the Chorus judgements"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    (found,) = steps.ask_chorus(quickstart.platform.kubectl, quickstart.judgements)
    return found


def test_real_judgements_are_trained_on_judged_and_served(
    quickstart: Quickstart, chorus_answer: tuple[ask.Question, ask.Answer]
) -> None:
    question, answer = chorus_answer
    evaluation = follow.Follower(quickstart.platform.kubectl, NAMESPACE).get(*steps.CHORUS[1])

    assert evaluation["status"]["verdict"] == "Passed"
    assert answer.body["tier"] == "tail"
    assert [item["id"] for item in answer.body["items"]] == list(question.labels)


def test_status_wiped_at_every_step_of_a_rollout_moves_no_traffic(quickstart: Quickstart, tmp_path: Path) -> None:
    rollout = Rollout(quickstart.platform)
    predictors = rollout.predictors()
    first = rollout.deployment()["status"]["stable"]

    rollout.change_strata(quickstart.platform.made, tmp_path)
    for steps_, weight in (
        ([{"weight": 10, "for": "1h"}, {"weight": 50, "for": "1h"}], 10),
        ([{"weight": 10, "for": "0s"}, {"weight": 50, "for": "1h"}], 50),
    ):
        rollout.set_steps(steps_)
        rollout.await_status(lambda status, weight=weight: status.get("weight") == weight)
        before = rollout.config()
        rollout.wipe()
        rollout.await_status(lambda status, weight=weight: status.get("weight") == weight)
        assert rollout.config() == before
    rollout.set_steps([])
    rollout.await_status(lambda status: status.get("stable") not in (None, first) and status.get("weight") is None)
    before = rollout.config()
    rollout.wipe()
    rollout.await_status(lambda status: status.get("stable") not in (None, first))

    assert rollout.config() == before
    assert rollout.predictors() == predictors


@dataclass(frozen=True)
class Rollout:
    """A change of the quickstart's deployment on its way."""

    platform: Platform

    def deployment(self) -> dict[str, Any]:
        return follow.Follower(self.platform.kubectl, NAMESPACE).get(*steps.DEPLOYMENT)

    def config(self) -> str:
        """What the routers were told: who has which weight."""
        found = self.platform.kubectl.get("configmap", "search-router", f"--namespace={NAMESPACE}")
        return str(found["data"]["router.json"])

    def predictors(self) -> set[str]:
        items = self.platform.items(NAMESPACE, "inferenceservices.serving.kserve.io")
        return {item["metadata"]["uid"] for item in items}

    def change_strata(self, made: data.Data, scratch: Path) -> None:
        """A snapshot with other boundaries: new data, the same models."""
        log = made.folders["data/strata"].parent / "log" / "log.jsonl"
        folder = scratch / "strata"
        command = [sys.executable, "-m", "lore_core", "strata", "build", "--log", str(log), "--output", folder.as_uri()]
        subprocess.run([*command, "--head-share", "0.6"], cwd=data.ROOT, check=True, stdout=subprocess.PIPE)
        place = "data/strata-wider"
        image = self.platform.references["router"]
        seed.seed(self.platform.kubectl, NAMESPACE, examples.CLAIM, image, data.Data({place: folder}))
        self._patch({"strata": {"uri": f"pvc://{examples.CLAIM}/{place}", "digest": data.digest(folder)}})

    def set_steps(self, wanted: list[dict[str, Any]]) -> None:
        self._patch({"rollout": {"steps": wanted}})

    def wipe(self) -> None:
        self.platform.wipe_status(NAMESPACE, *steps.DEPLOYMENT)

    def await_status(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the operator has seen the present spec and says so."""

        def told(found: dict[str, Any]) -> bool:
            status = found.get("status", {})
            return status.get("observedGeneration") == found["metadata"]["generation"] and holds(status)

        self.platform.await_resource(NAMESPACE, *steps.DEPLOYMENT, "at its step", told)

    def _patch(self, spec: dict[str, Any]) -> None:
        patch = json.dumps({"spec": spec})
        self.platform.kubectl(
            "patch", "rdep", steps.DEPLOYMENT[1], f"--namespace={NAMESPACE}", "--type=merge", f"--patch={patch}"
        )
