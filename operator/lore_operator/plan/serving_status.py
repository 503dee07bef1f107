"""What a deployment's status tells, beside its conditions: compositions, tiers, gate, routers."""

from collections.abc import Mapping
from typing import Any

from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.api.v1alpha1.serving_gate import ServingGate
from lore_operator.children.composition import COVERAGE
from lore_operator.children.router import url
from lore_operator.plan.backends import BackendState
from lore_operator.plan.gate import Verdicts
from lore_operator.plan.revisions import Revision
from lore_operator.plan.routing import Routing

_MAX_REVISIONS = 50


def serving_fields(deployment: RelevanceDeployment, routing: Routing, known: list[Revision]) -> dict[str, Any]:
    """What serves, as the router's ConfigMap and the routers say it."""
    name, namespace = deployment.metadata.name, deployment.metadata.namespace
    candidate = routing.candidate
    return {
        "url": url(name, namespace, deployment.spec.router),
        "stable": routing.stable,
        "candidate": candidate[0] if candidate else None,
        "weight": candidate[1] if candidate else None,
        "revisions": [_revision(revision, deployment, routing) for revision in known[:_MAX_REVISIONS]],
        "router": routing.fields(),
    }


def _revision(revision: Revision, deployment: RelevanceDeployment, routing: Routing) -> dict[str, Any]:
    failure = revision.failure(deployment.spec.run_token)
    if revision.name == routing.stable:
        return {"revision": revision.name, "outcome": "Stable"}
    if failure:
        return {"revision": revision.name, "outcome": "Failed", "message": f"{failure['reason']}: {failure['message']}"}
    if revision.name in routing.revisions or not revision.admitted:
        return {"revision": revision.name, "outcome": "Candidate"}
    return {"revision": revision.name, "outcome": "Superseded"}


def gate_word(gate: ServingGate, target: Revision, verdicts: Verdicts) -> str:
    """The gate in one word."""
    if gate.mode == "Disabled":
        return "Disabled"
    if verdicts.passed or target.admitted:
        return "Passed"
    return "Blocked" if verdicts.refused else "Waiting"


def tier_fields(target: Revision, states: Mapping[str, BackendState]) -> list[dict[str, Any]]:
    """Every tier of the composition that serves or is prepared; without states nothing of it runs yet."""
    head = [_head(target)] if target.recipe.head else []
    return [*head, *(_predictor(target, stratum, states) for stratum in sorted(target.recipe.predictors, reverse=True))]


def head_fields(target: Revision) -> dict[str, Any] | None:
    """The head generation of a composition, None where it has none or none yet."""
    generation = target.generation
    if generation is None:
        return None
    found = {"result": {"uri": generation.uri, "digest": generation.digest}}
    return found | ({"coverage": coverage} if (coverage := target.note(COVERAGE)) else {})


def _head(target: Revision) -> dict[str, Any]:
    generation = target.generation
    found = {"stratum": "head", "phase": "Ready" if target.complete else "Pending"}
    return found | ({"digest": generation.digest} if generation else {})


def _predictor(target: Revision, stratum: Any, states: Mapping[str, BackendState]) -> dict[str, Any]:
    backend = target.recipe.predictors[stratum].backend
    found: dict[str, Any] = {"stratum": stratum, "model": backend.model_name, "digest": backend.model.digest}
    state = states.get(backend.name)
    if state is None:
        return {**found, "phase": "Pending"}
    phase = "Ready" if state.ready else "Failed" if state.failed else "Preparing"
    found |= {"phase": phase, "backend": backend.name, "readyReplicas": state.replicas}
    return found | ({"message": state.message[:2048]} if state.message else {})
