"""Claims that several nodes share: what one node alone can mount is refused before a pod waits for it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from unit.plan.test_trainjob import world
from unit.plan.world import World, condition, statuses

from lore_operator.plan.types import Reference

GANG = {"nodes": {"count": 2}}


def claim(name: str, *modes: str, bound: tuple[str, ...] = ()) -> dict[str, Any]:
    status = {"status": {"phase": "Bound", "accessModes": list(bound)}} if bound else {}
    spec = {"accessModes": list(modes)}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec, **status}


def gang(*claims: dict[str, Any], **changes: Any) -> World:
    w = world(**(GANG | changes))
    for item in claims:
        w.add(item)
    return w


@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany"])
def test_several_nodes_on_a_workspace_that_one_node_writes_are_refused_before_anything_runs(mode: str) -> None:
    w = gang(claim("lore", mode), claim("data", "ReadWriteMany"))
    plan = w.settle()
    ready = condition(plan, "Ready")
    assert statuses(plan)["Stalled"] == "True"
    assert ready is not None
    assert ready["reason"] == "ClaimNotShared"
    assert ready["message"].startswith(f"spec.workspace: claim lore has {mode}; nodes.count 2 needs ReadWriteMany")
    assert w.created == []


def test_it_goes_on_once_the_claim_is_another_one() -> None:
    w = gang(claim("lore", "ReadWriteOnce"))
    plan = w.settle()
    assert plan.wake_at == w.now + timedelta(minutes=1), "no watch tells of a claim"
    w.add(claim("lore", "ReadWriteMany"))
    w.settle()
    assert w.has("Job", "demo-sft-a1")


def test_an_input_may_be_read_only_and_is_named_where_it_is_not_shared() -> None:
    w = gang(claim("lore", "ReadWriteMany"), claim("data", "ReadOnlyMany"))
    w.settle()
    assert w.has("Job", "demo-sft-a1")
    refused = gang(claim("lore", "ReadWriteMany"), claim("data", "ReadWriteOnce"))
    ready = condition(refused.settle(), "Ready")
    assert ready is not None
    assert ready["message"].startswith(
        "spec.data: claim data has ReadWriteOnce; nodes.count 2 needs ReadWriteMany or ReadOnlyMany"
    )


def test_what_the_bound_volume_can_counts_more_than_what_was_asked_for() -> None:
    w = gang(claim("lore", "ReadWriteOnce", bound=("ReadWriteOnce", "ReadWriteMany")))
    w.settle()
    assert w.has("Job", "demo-sft-a1")


def test_one_node_and_an_object_store_are_not_looked_at() -> None:
    alone = world()
    alone.add(claim("lore", "ReadWriteOnce"))
    alone.settle()
    assert alone.has("Job", "demo-sft-a1")
    kinds = {reference.kind for reference in alone.planner.references(alone.resource)}
    assert "PersistentVolumeClaim" not in kinds
    stored = gang(workspace={"uri": "s3://lore/runs"})
    assert Reference("PersistentVolumeClaim", "lore") not in stored.planner.references(stored.resource)


def test_a_run_that_has_begun_is_not_stopped() -> None:
    w = gang()
    w.settle()
    w.add(claim("lore", "ReadWriteOnce"))
    assert statuses(w.settle())["Reconciling"] == "True"


def test_without_the_right_to_read_claims_it_runs_and_says_that_nobody_checked() -> None:
    w = gang()
    refused = replace(w.observed(), refused={"PersistentVolumeClaim": "persistentvolumeclaims is forbidden"})
    plan = w.plan(refused)
    alert = condition(plan, "ClaimsUnchecked")
    assert alert is not None
    assert "forbidden" in alert["message"]
    assert "Job" in {item.key.kind for item in plan.apply}


@pytest.mark.parametrize("nodes", [None, {}, {"count": "two"}, {"count": 2}])
def test_references_of_a_spec_that_nobody_can_read_are_no_error(nodes: Any) -> None:
    w = world()
    w.resource["spec"] = {"nodes": nodes, "workspace": None, "stages": [{"name": "sft", "distill": None}]}
    assert w.planner.references(w.resource) == frozenset()
