"""Labels and annotations of children, and how ownership is read from an object."""

from collections.abc import Mapping
from typing import Any, Final

from lore_operator.api.v1alpha1.group import API_VERSION, GROUP

FIELD_MANAGER: Final = "lore-operator"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OWNER_KIND: Final = f"{GROUP}/kind"
OWNER_NAME: Final = f"{GROUP}/name"
STAGE: Final = f"{GROUP}/stage"
ATTEMPT: Final = f"{GROUP}/attempt"
RUN: Final = f"{GROUP}/run"
ROLE: Final = f"{GROUP}/role"
RENDERED_BY: Final = f"{GROUP}/rendered-by"
SHARDS: Final = f"{GROUP}/shards"
"""Label of a Job whose pods are shards: it is done when it is complete, and another step reports."""
PUBLISHED: Final = f"{GROUP}/published"
"""Annotation of a report: the RelevanceModel that was created from it; it is never created a second time."""
FAILURE: Final = f"{GROUP}/failure"
"""Annotation of a report: how the attempt failed, which would else be lost with Job and pods."""

WATCH_SELECTOR: Final = f"{MANAGED_BY}={FIELD_MANAGER}"
"""The label selector of every child and pod of ours: what the engine's watches ask for."""


def owner_labels(kind: str, name: str) -> dict[str, str]:
    """The labels by which the children and pods of one resource are found."""
    return {MANAGED_BY: FIELD_MANAGER, OWNER_KIND: kind, OWNER_NAME: name}


def owner_of(obj: Mapping[str, Any]) -> tuple[str, str] | None:
    """(kind, name) of the resource an object belongs to by its labels, or None."""
    labels = obj.get("metadata", {}).get("labels") or {}
    kind, name = labels.get(OWNER_KIND), labels.get(OWNER_NAME)
    return (kind, name) if labels.get(MANAGED_BY) == FIELD_MANAGER and kind and name else None


def owner_reference(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The controller reference that a child of `resource` carries."""
    metadata = resource["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": resource["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controlled_by(obj: Mapping[str, Any], uid: str) -> bool:
    """Whether the object's controller is the resource with this uid."""
    references = obj.get("metadata", {}).get("ownerReferences") or []
    return any(reference.get("controller") and reference.get("uid") == uid for reference in references)
