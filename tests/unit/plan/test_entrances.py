"""Ways to the router beside its Service: made and unmade with the spec, and told where nobody can pass."""

from typing import Any

import pytest
from unit.plan.serving_world import ServingWorld, serve, world
from unit.plan.world import condition

from lore_operator.children.settings import Images
from lore_operator.plan.types import ObjectKey

GATEWAY = {"parents": [{"name": "public", "namespace": "gateways"}], "hostnames": ["rank.example.com"]}
ROUTE, GRAPH = ObjectKey("HTTPRoute", "search-router"), ObjectKey("InferenceGraph", "search-graph")


def entered(**router: Any) -> ServingWorld:
    """Served, and then the spec asks for an entrance."""
    w = world()
    serve(w)
    w.edit(router=router)
    serve(w)
    return w


def answer(w: ServingWorld, **conditions: str) -> None:
    """A Gateway's controller tells of the route as it is now."""
    told = [
        {"type": kind, "status": status, "reason": "Said", "observedGeneration": 1}
        for kind, status in conditions.items()
    ]
    w.objects[ROUTE]["metadata"]["generation"] = 1
    w.objects[ROUTE]["status"] = {"parents": [{"parentRef": {"name": "public"}, "conditions": told}]}


def test_a_gateways_route_carries_what_callers_ask_and_nothing_else() -> None:
    w = entered(gateway=GATEWAY)

    (rule,) = w.find(*ROUTE)["spec"]["rules"]
    assert {match["path"]["value"] for match in rule["matches"]} == {"/v1", "/v2"}
    assert [(one["name"], one["port"]) for one in rule["backendRefs"]] == [("search-router", 80)]


def test_a_router_with_tls_is_reached_on_its_tls_port() -> None:
    w = entered(gateway=GATEWAY, tls={"secretRef": {"name": "cert"}})

    assert w.find(*ROUTE)["spec"]["rules"][0]["backendRefs"][0]["port"] == 443


def test_entrances_come_change_and_go_and_the_routers_pods_are_not_touched() -> None:
    w = world()
    serve(w)
    pods = w.find("Deployment", "search-router")["metadata"]["resourceVersion"]

    w.edit(router={"gateway": GATEWAY, "inferenceGraph": {}})
    serve(w)
    assert {ROUTE, GRAPH} <= w.objects.keys()
    w.edit(router={"gateway": {**GATEWAY, "hostnames": ["other.example.com"]}, "inferenceGraph": {"timeout": "2500ms"}})
    serve(w)
    assert w.find(*ROUTE)["spec"]["hostnames"] == ["other.example.com"]
    assert w.find(*GRAPH)["spec"]["routerTimeouts"] == {"serviceClient": 3}
    w.edit(router={})
    serve(w)

    assert not {ROUTE, GRAPH} & w.objects.keys()
    assert w.find("Deployment", "search-router")["metadata"]["resourceVersion"] == pods


def test_an_upgrade_with_other_images_writes_no_entrance_again() -> None:
    w = entered(gateway=GATEWAY, inferenceGraph={})
    versions = [w.find(*key)["metadata"]["resourceVersion"] for key in (ROUTE, GRAPH)]

    w.settings = w.settings.__class__(Images("t:2", "s:2", "r:2"), "2.0")
    serve(w)

    assert [w.find(*key)["metadata"]["resourceVersion"] for key in (ROUTE, GRAPH)] == versions


def test_what_is_deleted_by_hand_comes_back() -> None:
    w = entered(gateway=GATEWAY)
    del w.objects[ROUTE]
    serve(w)

    assert ROUTE in w.objects


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "Gateway public: Accepted is unknown"),
        ({"Accepted": "False", "ResolvedRefs": "True"}, "Gateway public: Accepted is False, Said"),
        ({"Accepted": "True", "ResolvedRefs": "False"}, "Gateway public: ResolvedRefs is False, Said"),
    ],
)
def test_a_route_that_a_gateway_does_not_take_is_told_and_callers_of_the_service_are_served(
    told: dict[str, str], words: str
) -> None:
    w = entered(gateway=GATEWAY)
    answer(w, **told)
    serve(w)

    status = w.resource["status"]
    assert words in condition(status, "RouteNotAccepted")["message"]
    assert (condition(status, "Ready")["status"], condition(status, "Available")["status"]) == ("True", "True")


def test_a_route_that_nobody_answered_for_is_told() -> None:
    assert (
        "no Gateway has answered"
        in condition(entered(gateway=GATEWAY).resource["status"], "RouteNotAccepted")["message"]
    )


def test_an_answer_for_an_older_route_does_not_count() -> None:
    w = entered(gateway=GATEWAY)
    answer(w, Accepted="True", ResolvedRefs="True")
    w.objects[ROUTE]["metadata"]["generation"] = 2
    serve(w)

    assert condition(w.resource["status"], "RouteNotAccepted")["status"] == "True"


def test_a_route_that_is_taken_is_not_told_of() -> None:
    w = entered(gateway=GATEWAY)
    answer(w, Accepted="True", ResolvedRefs="True")
    serve(w)

    assert "RouteNotAccepted" not in {one["type"] for one in w.resource["status"]["conditions"]}


def test_a_graph_is_judged_by_its_pods_and_not_by_what_kserve_says_of_it() -> None:
    w = entered(inferenceGraph={})
    w.objects[GRAPH]["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    serve(w)
    assert "not available" in condition(w.resource["status"], "GraphNotReady")["message"]

    labels = w.find(*GRAPH)["metadata"]["labels"]
    owners = [{"kind": "InferenceGraph", "name": "search-graph", "uid": "g", "controller": True}]
    made = w.add(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "search-graph", "labels": labels, "ownerReferences": owners},
        }
    )
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    made |= {"spec": {"replicas": 1}, "status": {**counts, "observedGeneration": made["metadata"].get("generation")}}
    serve(w)

    assert "GraphNotReady" not in {one["type"] for one in w.resource["status"]["conditions"]}


def test_a_strangers_route_is_a_name_conflict() -> None:
    w = world()
    serve(w)
    w.add({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "search-router"}})
    w.edit(router={"gateway": GATEWAY})
    serve(w)

    assert condition(w.resource["status"], "Stalled")["reason"] == "NameConflict"
