"""The gate at work: a model without rules and a retyped variant ask to serve, and no predictor is created for either."""

from typing import Any, Final

from hack.cluster.kubectl import Kubectl
from hack.demo import view
from hack.demo.errors import DemoError
from hack.demo.examples import NAMESPACE
from hack.demo.follow import Follower

EVALUATION: Final = "lore-norules"
BLOCKED: Final = ("without-rules", "retyped")
Found = dict[tuple[str, str], dict[str, Any]]


def settled(found: Found) -> bool:
    """Whether the evaluation has its verdict and both deployments say that they are blocked."""
    verdict = found.get(("RelevanceEval", EVALUATION), {}).get("status", {}).get("verdict")
    return verdict is not None and all(blocked(found.get(("RelevanceDeployment", name))) for name in BLOCKED)


def blocked(deployment: dict[str, Any] | None) -> bool:
    """Whether a gate keeps the deployment from serving."""
    stalled = view.condition(deployment, "Stalled") if deployment else None
    return stalled is not None and stalled["status"] == "True" and stalled["reason"] == "GateBlocked"


def summary(kubectl: Kubectl) -> list[str]:
    """What each one was told. DemoError where the gate let something through."""
    follower = Follower(kubectl, NAMESPACE)
    evaluation = follower.get("RelevanceEval", EVALUATION)
    if evaluation["status"]["verdict"] == "Passed":
        raise DemoError(
            f"RelevanceEval {EVALUATION} passed, but a model that never saw a rule must not pass the rule slice"
        )
    lines = view.verdicts([evaluation])
    for name in BLOCKED:
        deployment = follower.get("RelevanceDeployment", name)
        if served := predictors(kubectl, deployment):
            raise DemoError(f"RelevanceDeployment {name} is blocked, yet it has predictors: {', '.join(served)}")
        lines.append(f"{name}: {view.headline(deployment, 600)}; predictors: none")
    return lines


def predictors(kubectl: Kubectl, deployment: dict[str, Any]) -> list[str]:
    """Names of the InferenceServices that the deployment owns, alone or with others."""
    items = kubectl.get("inferenceservices.serving.kserve.io", f"--namespace={NAMESPACE}")["items"]
    return [item["metadata"]["name"] for item in items if _owned(item, deployment)]


def _owned(item: dict[str, Any], owner: dict[str, Any]) -> bool:
    return any(entry["uid"] == owner["metadata"]["uid"] for entry in item["metadata"].get("ownerReferences", ()))
