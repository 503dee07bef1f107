"""The headless Service of a gang: it gives pod 0 the name that the others meet it by."""

from collections.abc import Mapping
from typing import Any

from lore_operator.children.labels import owner_reference
from lore_operator.children.names import Attempt


def headless_service(resource: Mapping[str, Any], attempt: Attempt, labels: Mapping[str, str]) -> dict[str, Any]:
    """Publishes pods before they are Ready: ranks meet while starting."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": attempt.job,
            "namespace": resource["metadata"]["namespace"],
            "labels": dict(labels),
            "ownerReferences": [owner_reference(resource)],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": attempt.job},
        },
    }
