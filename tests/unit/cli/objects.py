"""Objects of a namespace as kubectl prints them, in the states that the operator writes."""

from datetime import UTC, datetime
from typing import Any

from lore_operator.plan.conditions import Finding, State, conditions

NOW = datetime(2026, 11, 1, tzinfo=UTC)
API = "lore-platform.io/v1alpha1"
Object = dict[str, Any]


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def resource(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "generation": 1}, "spec": spec}


def stands(item: Object, state: State, reason: str, message: str = "", **status: Any) -> Object:
    alerts = status.pop("alerts", {})
    found = conditions(Finding(state, reason, message, alerts), 1, [], NOW)
    return item | {"status": {"observedGeneration": 1, "conditions": found, **status}}


def train_job(name: str = "train", **stages: str) -> Object:
    """A train job; stage → model that it publishes."""
    published = [{"name": stage, "sft": {}, "publish": {"as": model}} for stage, model in stages.items()]
    uri = {"uri": "pvc://workspace/x"}
    spec = {"baseModel": uri, "data": uri, "workspace": uri, "ruleSet": uri, "stages": published}
    return resource("RelevanceTrainJob", name, spec)


def model(name: str, letter: str = "a") -> Object:
    spec = {"uri": f"pvc://workspace/{name}", "digest": digest(letter), "role": "Generative"}
    return resource("RelevanceModel", name, spec)


def evaluation(name: str, of: str, **profile: Any) -> Object:
    uri = {"uri": "pvc://workspace/x"}
    spec = {
        "modelRef": {"name": of},
        "benchmark": uri | {"ruleMode": "None"},
        "workspace": uri,
        "gates": [{"name": "floor", "metric": "Accuracy2", "min": "0.5"}],
        "servingProfile": profile,
    }
    return resource("RelevanceEval", name, spec)


def passed(item: Object, letter: str = "a", **status: Any) -> Object:
    """The evaluation after it passed for the model with this digest."""
    name = item["metadata"]["name"]
    found: Object = {
        "verdict": "Passed",
        "model": {"name": item["spec"]["modelRef"]["name"], "uri": "pvc://workspace/m", "digest": digest(letter)},
        "evidence": {"uri": f"pvc://workspace/evidence/{name}", "digest": digest("e")},
        "profileDigest": digest("f"),
    }
    return stands(item, State.PASSED, "Passed", "1/1 gates passed", **(found | status))


def deployment(name: str = "search", **models: str) -> Object:
    """A deployment; stratum → model."""
    tiers = [{"stratum": stratum, "predictor": {"modelRef": {"name": served}}} for stratum, served in models.items()]
    strata = {"uri": "pvc://workspace/strata", "digest": digest("9")}
    return resource(
        "RelevanceDeployment", name, {"strata": strata, "tiers": tiers, "gate": {"requirements": [{"name": "v"}]}}
    )
