"""Further ways to the router: written as the spec has them, and told where nobody can pass."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.children import gateway_route, inference_graph
from lore_operator.children.gateway_route import KIND as ROUTE
from lore_operator.children.inference_graph import KIND as GRAPH
from lore_operator.children.inference_graph import graph_name
from lore_operator.children.router import INPUTS, router_name
from lore_operator.plan.backends import rolled_out
from lore_operator.plan.serving_draft import ServingDraft
from lore_operator.plan.types import Object, ObjectKey

ROUTE_NOT_ACCEPTED: Final = "RouteNotAccepted"
GRAPH_NOT_READY: Final = "GraphNotReady"


def ensure_entrances(draft: ServingDraft, deployment: RelevanceDeployment) -> None:
    """Write what the spec wants, and delete what it no longer wants. Halts on a stranger's object."""
    for key, wanted in _wanted(draft.resource, deployment).items():
        found = draft.find(key.kind, key.name)
        if wanted is None:
            if found is not None:
                draft.delete(found)
            continue
        digest = sha256_digest(canonical_json(wanted["spec"]))
        wanted["metadata"].setdefault("annotations", {})[INPUTS] = digest
        if found is None or (found["metadata"].get("annotations") or {}).get(INPUTS) != digest:
            draft.apply(wanted)


def closed_entrances(draft: ServingDraft, deployment: RelevanceDeployment) -> dict[str, str]:
    """Conditions that are true: which entrance nobody can pass, and why."""
    name, children, found = deployment.metadata.name, draft.observed.children, dict[str, str]()
    if deployment.spec.router.gateway is not None:
        route = children.get(ObjectKey(ROUTE, router_name(name)))
        if problems := list(_refusals(route)):
            found[ROUTE_NOT_ACCEPTED] = f"HTTPRoute {router_name(name)}: {'; '.join(problems)}"
    # KServe calls a graph Ready as soon as its Deployment says anything at all.
    made = children.get(ObjectKey("Deployment", graph_name(name)))
    if deployment.spec.router.inference_graph is not None and not rolled_out(made):
        text = "pods of KServe's graph router are not available"
        found[GRAPH_NOT_READY] = f"InferenceGraph {graph_name(name)}: {text}; see its Deployment of that name"
    return found


def _wanted(resource: Object, deployment: RelevanceDeployment) -> dict[ObjectKey, dict[str, Any] | None]:
    name, router = deployment.metadata.name, deployment.spec.router
    gateway, graph = router.gateway, router.inference_graph
    route = gateway_route.gateway_route(resource, router, gateway) if gateway is not None else None
    before = inference_graph.inference_graph(resource, router, graph) if graph is not None else None
    return {ObjectKey(ROUTE, router_name(name)): route, ObjectKey(GRAPH, graph_name(name)): before}


def _refusals(route: Mapping[str, Any] | None) -> Iterator[str]:
    """What keeps a route from carrying requests, by the Gateway API's own conditions of its present generation."""
    parents = ((route or {}).get("status") or {}).get("parents") or ()
    generation = ((route or {}).get("metadata") or {}).get("generation", 1)
    if not parents:
        yield "no Gateway has answered for it; is there one of that name, and a controller that serves it?"
    for parent in parents:
        conditions = {one["type"]: one for one in parent.get("conditions") or ()}
        gateway = (parent.get("parentRef") or {}).get("name", "")
        for wanted in ("Accepted", "ResolvedRefs"):
            one = conditions.get(wanted, {})
            if one.get("status") != "True" or one.get("observedGeneration", generation) < generation:
                yield f"Gateway {gateway}: {wanted} is {one.get('status', 'unknown')}, {_words(one)}"


def _words(condition: Mapping[str, Any]) -> str:
    return f"{condition.get('reason', 'nothing said')}: {condition.get('message', '')}".rstrip(": ")
