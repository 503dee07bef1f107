"""What Argo CD, Flux and kstatus make of every state of the condition table: their own evaluators on our own conditions."""

import json
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from cluster.fixtures import REPOSITORY

from hack.cluster import tools
from lore_operator.plan.conditions import Finding, State, conditions

KINDS = ("RelevanceTrainJob", "RelevanceModel", "RelevanceEval", "RelevanceDeployment")
CASES = yaml.safe_load((REPOSITORY / "tests/fixtures/conditions.yaml").read_text())
ARGO = {"Current": "Healthy", "Failed": "Degraded", "InProgress": "Progressing"}


def resource(kind: str, generation: int = 1, **status: Any) -> dict[str, Any]:
    metadata = {"name": "demo", "namespace": "default", "generation": generation}
    return {"apiVersion": "lore-platform.io/v1alpha1", "kind": kind, "metadata": metadata, "status": status}


def case_resource(case: dict[str, Any]) -> dict[str, Any]:
    before = [
        {"type": type_, "status": status, "reason": "Before"} for type_, status in case.get("previous", {}).items()
    ]
    reason = "Suspended" if case["state"] == "Suspended" else "Reason"
    finding = Finding(State(case["state"]), reason, "message", dict.fromkeys(case.get("alerts", ()), "since yesterday"))
    found = conditions(finding, 1, before, datetime(2026, 11, 1, tzinfo=UTC))
    return resource(case["kind"], observedGeneration=1, conditions=found)


def judged(*objects: dict[str, Any]) -> list[dict[str, str]]:
    """What the evaluators say of each object."""
    argo = yaml.safe_load((REPOSITORY / "deploy/argocd/health.yaml").read_text())["data"]
    flux = yaml.safe_load((REPOSITORY / "deploy/flux/production.yaml").read_text())["spec"]["healthCheckExprs"]
    question = {
        "lua": {name.rpartition("_")[2]: script for name, script in argo.items()},
        "expressions": {item["kind"]: item for item in flux},
        "objects": objects,
    }
    done = subprocess.run(
        [tools.require("health")], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def three(answer: dict[str, str]) -> tuple[str, str, str]:
    return answer["kstatus"], answer["flux"], answer["argo"]


def test_every_state_reads_the_same_everywhere():
    expected = [
        (case["kstatus"], case["kstatus"], "Suspended" if case["state"] == "Suspended" else ARGO[case["kstatus"]])
        for case in CASES
    ]

    assert [three(answer) for answer in judged(*map(case_resource, CASES))] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_an_edited_and_a_dying_object_are_never_taken_for_healthy(kind):
    ready = conditions(Finding(State.REGISTERED, "Registered", ""), 1, [], datetime(2026, 11, 1, tzinfo=UTC))
    fresh = resource(kind, observedGeneration=-1)
    edited = resource(kind, 2, observedGeneration=1, conditions=ready)
    dying = resource(kind, observedGeneration=1, conditions=ready)
    dying["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z"

    answers = judged(fresh, edited, dying)

    assert [three(answer) for answer in answers[:2]] == [("InProgress", "InProgress", "Progressing")] * 2
    assert (answers[2]["kstatus"], answers[2]["argo"]) == ("Terminating", "Progressing")


def test_argo_shows_the_operators_words():
    blocked = next(case for case in CASES if case["state"] == "GateBlocked")

    assert judged(case_resource(blocked))[0]["message"] == "Reason: message"
