"""The KServe InferenceGraph before one router, in Standard mode (KServe 0.20, cmd/router).

A graph's steps drop path, method and headers of the request, weigh at random and fall back to nothing. So the graph decides
nothing of ours: one Switch passes each shape of question to the router's path for it, and strata, compositions and fallbacks
stay where they are. KServe answers 404 where a body has neither shape.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from lore_operator.api.v1alpha1.common import seconds
from lore_operator.api.v1alpha1.deployment import Router
from lore_operator.api.v1alpha1.entrances import InferenceGraph
from lore_operator.children import router as routers
from lore_operator.children.inference_service import AUTOSCALER, autoscaler, scale
from lore_operator.children.labels import ROLE, owner_labels, owner_reference

KIND: Final = "InferenceGraph"
_SHAPES: Final = {"documents": "/v1/rerank", "items": "/v1/relevance"}
"""Field of a body (a gjson path) → the router's path for such bodies."""


def graph_name(deployment: str) -> str:
    """Name of the graph, and of the Deployment and Service that KServe makes for it."""
    return f"{deployment}-graph"


def inference_graph(resource: Mapping[str, Any], router: Router, wanted: InferenceGraph) -> dict[str, Any]:
    """The InferenceGraph. KServe gives its labels to the Deployment that it makes, so the operator sees that, too."""
    metadata = resource["metadata"]
    address, replicas = routers.url(metadata["name"], metadata["namespace"], router), scale(wanted.replicas)
    steps = [{"name": field, "serviceUrl": f"{address}{path}", "condition": field} for field, path in _SHAPES.items()]
    timeout = max(1, math.ceil(seconds(wanted.timeout).total_seconds()))
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": KIND,
        "metadata": {
            "name": graph_name(metadata["name"]),
            "namespace": metadata["namespace"],
            "labels": {**owner_labels(resource["kind"], metadata["name"]), ROLE: "entrance"},
            "annotations": {"serving.kserve.io/deploymentMode": "Standard", AUTOSCALER: autoscaler(replicas)},
            "ownerReferences": [owner_reference(resource)],
        },
        "spec": {
            **replicas,
            "nodes": {"root": {"routerType": "Switch", "steps": steps}},
            # KServe's router reads these without asking whether they are there.
            "routerTimeouts": {"serviceClient": timeout},
        },
    }
