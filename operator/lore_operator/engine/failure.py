"""What a resource's status says when a pass could not be carried out."""

from datetime import datetime
from typing import Any

from lore_operator.engine.client import Manifest

_LONGEST_MESSAGE = 2048


def with_failure(resource: Manifest, reason: str, message: str, now: datetime) -> dict[str, Any]:
    """The stored status with `Reconciling` True and the failure in it; the next good pass drops it again.

    Nothing else changes: what was Ready before an apiserver hiccup is as ready as it was.
    """
    status: dict[str, Any] = dict(resource.get("status") or {})
    conditions = list(status.get("conditions") or ())
    before: dict[str, Any] = next((entry for entry in conditions if entry["type"] == "Reconciling"), {})
    kept = [entry for entry in conditions if entry["type"] != "Reconciling"]
    since = before.get("lastTransitionTime") if before.get("status") == "True" else None
    failure = {
        "type": "Reconciling",
        "status": "True",
        "reason": reason,
        "message": message[:_LONGEST_MESSAGE],
        "lastTransitionTime": since or now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "observedGeneration": resource["metadata"].get("generation", 0),
    }
    return {**status, "conditions": [*kept, failure]}
