"""A plan of a deployment while it is being made: what several deployments share is patched and deleted with its version."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from lore_operator.plan.conditions import Finding
from lore_operator.plan.draft import Draft
from lore_operator.plan.types import Delete, Object, ObjectKey, Observed, Patch, Plan


class ServingDraft(Draft):
    """A draft with merge patches. Several notes on one object become one patch."""

    def __init__(self, resource: Object, observed: Observed, now: datetime) -> None:
        super().__init__(resource, observed, now)
        self._patches: dict[ObjectKey, Object] = {}
        self._released: list[Delete] = []

    def annotate(self, found: Object, notes: Mapping[str, str | None]) -> None:
        """Note something on an object of ours; None removes a note. An object not created yet is noted in a later pass."""
        if "resourceVersion" in found["metadata"]:
            metadata = self._patch(found)["metadata"]
            metadata["annotations"] = {**metadata.get("annotations", {}), **notes}

    def share(self, found: Object, owners: list[Object]) -> None:
        """Replace the owners of a shared object."""
        self._patch(found)["metadata"]["ownerReferences"] = owners

    def rescale(self, found: Object, replicas: Mapping[str, int], notes: Mapping[str, str | None]) -> None:
        """Change the replicas of a shared InferenceService, and the notes that go with them."""
        self._patch(found)["spec"] = {"predictor": dict(replicas)}
        self.annotate(found, notes)

    def release(self, found: Object) -> None:
        """Delete a shared object that nobody else has begun to use since it was seen."""
        metadata = found["metadata"]
        if not metadata.get("deletionTimestamp"):
            key = ObjectKey(found["kind"], metadata["name"])
            self._released.append(Delete(key, metadata["uid"], metadata["resourceVersion"], propagation="Background"))

    def _patch(self, found: Object) -> Object:
        metadata = found["metadata"]
        key = ObjectKey(found["kind"], metadata["name"])
        return self._patches.setdefault(key, {"metadata": {"resourceVersion": metadata["resourceVersion"]}})

    def finish(self, finding: Finding, fields: Mapping[str, Any], phase: str | None = None) -> Plan:
        """The plan, with the whole status."""
        plan = super().finish(finding, fields, phase)
        patches = tuple(Patch(key, body) for key, body in self._patches.items())
        return replace(plan, patch=patches, delete=(*plan.delete, *self._released))
