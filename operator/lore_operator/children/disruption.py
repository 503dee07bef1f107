"""Disruption budgets of what answers callers: a drained node takes one router and one pod of a predictor at a time.

Training, evaluation and head builds have none: they resume from a checkpoint, and a budget of theirs would hold a drain
for hours. A pod under two budgets cannot be evicted at all, so a predictor that deployments share has one of its own.
"""

from collections.abc import Mapping
from typing import Any, Final

from lore_operator.children.labels import FIELD_MANAGER, MANAGED_BY, ROLE

KIND: Final = "PodDisruptionBudget"
KSERVE_NAME: Final = "serving.kserve.io/inferenceservice"
"""KServe's label on whatever belongs to one InferenceService."""


def budget(metadata: Mapping[str, Any], selector: Mapping[str, str]) -> dict[str, Any]:
    """At most one of the selected pods is evicted at a time; a pod that is not Ready never holds a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": KIND,
        "metadata": dict(metadata),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": dict(selector)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def predictor_budget(service: Mapping[str, Any]) -> dict[str, Any]:
    """The budget of an InferenceService that exists; owned by it, so it goes when its last deployment lets it go."""
    metadata, mine = service["metadata"], {KSERVE_NAME: service["metadata"]["name"]}
    owner = {field: service[field] for field in ("apiVersion", "kind")}
    return budget(
        {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {MANAGED_BY: FIELD_MANAGER, ROLE: "backend", **mine},
            "ownerReferences": [{**owner, "name": metadata["name"], "uid": metadata["uid"]}],
        },
        mine,
    )
