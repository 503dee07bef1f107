"""ADR 0007: what happens where a child's name is taken."""

from typing import Any

import pytest
from unit.plan.test_trainjob import world
from unit.plan.world import statuses

OWN = {"apiVersion": "lore-platform.io/v1alpha1", "kind": "RelevanceTrainJob", "name": "demo", "controller": True}
LIVE, DEAD = OWN | {"uid": "uid-of-demo"}, OWN | {"uid": "of a life before"}
OTHER = OWN | {"name": "another", "uid": "of another"}


@pytest.mark.parametrize("kind", ["ConfigMap", "Job", "Role", "ServiceAccount"])
@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "NameConflict"),
        ({"ownerReferences": [OTHER]}, "NameConflict"),
        ({"ownerReferences": [LIVE | {"controller": False}]}, "NameConflict"),
        ({"ownerReferences": [DEAD]}, "AwaitingDeletion"),
        ({"ownerReferences": [LIVE], "deletionTimestamp": "2026-11-01T00:00:00Z"}, "AwaitingDeletion"),
        ({"ownerReferences": [LIVE]}, "StageRunning"),
    ],
    ids=["nobody's", "another job's", "ours, but not as controller", "a predecessor's", "dying", "ours"],
)
def test_a_name_that_is_taken(kind: str, metadata: dict[str, Any], reason: str) -> None:
    w = world()
    name = "demo-sft-a1" if kind in ("ConfigMap", "Job") else "demo-train"
    there = w.add({"kind": kind, "metadata": {"name": name, **metadata}, "rules": []})

    plan = w.step()

    assert statuses(plan)["reason"] == reason
    assert w.find(kind, name)["metadata"]["uid"] == there["metadata"]["uid"]
