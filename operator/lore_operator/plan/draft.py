"""A plan while it is being made, and its end: status, conditions, events."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from lore_operator.children.labels import FIELD_MANAGER, MANAGED_BY, controlled_by
from lore_operator.plan.conditions import Finding, Halt, State, conditions
from lore_operator.plan.types import Apply, Delete, Event, Object, ObjectKey, Observed, Plan

_REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
_WARNINGS = (State.STALLED, State.REFUSED, State.GATE_BLOCKED, State.ROLLED_BACK)


class Draft:
    """Collects the writes of one decision. It refuses to touch what is not the resource's own."""

    def __init__(self, resource: Object, observed: Observed, now: datetime) -> None:
        self.resource, self.observed, self.now = resource, observed, now
        self._apply: list[Apply] = []
        self._delete: list[Delete] = []
        self._wake: list[datetime] = []

    @property
    def uid(self) -> str:
        """The resource's uid: what its children's controller reference names."""
        return str(self.resource["metadata"]["uid"])

    def find(self, kind: str, name: str) -> Object | None:
        """The resource's own child of this name. Halts on a stranger's object and on one that is being deleted."""
        found = self.observed.children.get(ObjectKey(kind, name))
        if found is None:
            return None
        if not controlled_by(found, self.uid) and not self._of_a_predecessor(found):
            raise Halt(
                State.STALLED,
                "NameConflict",
                f"{kind} {name} exists and belongs to someone else: delete or rename it, or rename this resource",
            )
        if found["metadata"].get("deletionTimestamp") or not controlled_by(found, self.uid):
            raise Halt(State.WORKING, "AwaitingDeletion", f"{kind} {name} is being deleted")
        return dict(found)

    def find_shared(self, kind: str, name: str) -> Object | None:
        """An object of the operator's that all resources of the namespace use. Halts on a stranger's."""
        found = self.reference(kind, name)
        if found is not None and (found["metadata"].get("labels") or {}).get(MANAGED_BY) != FIELD_MANAGER:
            text = f"{kind} {name} exists and is not the operator's: delete it, or give runner.serviceAccountName"
            raise Halt(State.STALLED, "NameConflict", text)
        return found

    def _of_a_predecessor(self, found: Object) -> bool:
        """Whether the object belongs to a deleted resource of this kind and name; the garbage collector removes it."""
        own = (self.resource["kind"], self.resource["metadata"]["name"])
        references = found["metadata"].get("ownerReferences") or []
        return any(item.get("controller") and (item["kind"], item["name"]) == own for item in references)

    def ensure(self, wanted: Object, *, on_live: bool = False, later: bool = False) -> None:
        """Create a child unless it is there. What is there is never changed: it is frozen as it was rendered."""
        if self.find(wanted["kind"], wanted["metadata"]["name"]) is None:
            self._apply.append(Apply(wanted, on_live=on_live, later=later))

    def reference(self, kind: str, name: str) -> Object | None:
        """Another resource of the namespace, if it exists; also where only a create has found it."""
        key = ObjectKey(kind, name)
        return self.observed.references.get(key) or self.observed.children.get(key)

    def apply(self, wanted: Object, *, create_only: bool = False) -> None:
        """Write an object."""
        if all(item.key != ObjectKey(wanted["kind"], wanted["metadata"]["name"]) for item in self._apply):
            self._apply.append(Apply(wanted, create_only))

    def delete(self, found: Object) -> None:
        """Delete an object and, before it is gone, its dependents; one that is being deleted already is left alone."""
        metadata = found["metadata"]
        if not metadata.get("deletionTimestamp"):
            self._delete.append(Delete(ObjectKey(found["kind"], metadata["name"]), metadata["uid"]))

    def wake(self, at: datetime) -> None:
        """Time alone changes the decision then."""
        self._wake.append(at)

    def finish(self, finding: Finding, fields: Mapping[str, Any], phase: str | None = None) -> Plan:
        """The plan, with the whole status; absent fields are left out."""
        stored = self.resource.get("status") or {}
        generation = int(self.resource["metadata"].get("generation", 1))
        requested = (self.resource["metadata"].get("annotations") or {}).get(_REQUESTED_AT)
        status = {
            "observedGeneration": generation,
            "lastHandledReconcileAt": requested,
            "phase": phase or finding.state.value,
            **fields,
            "conditions": conditions(finding, generation, stored.get("conditions") or [], self.now),
        }
        return Plan(
            status={name: value for name, value in status.items() if value not in (None, [], {})},
            apply=tuple(self._apply),
            delete=tuple(self._delete),
            events=transition(finding, stored),
            wake_at=min(self._wake, default=None),
        )


def transition(finding: Finding, stored: Mapping[str, Any]) -> tuple[Event, ...]:
    """An event where the reason of Ready changed, and one for each alert that was not there."""
    before = {item.get("type"): item for item in stored.get("conditions") or []}
    raised = (Event(type_, text[:1024], "Warning") for type_, text in finding.alerts.items() if type_ not in before)
    if (before.get("Ready") or {}).get("reason") == finding.reason:
        return tuple(raised)
    kind: Literal["Warning", "Normal"] = "Warning" if finding.state in _WARNINGS else "Normal"
    return (Event(finding.reason, finding.message[:1024], kind), *raised)
