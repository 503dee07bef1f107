"""Writes of the parents' own status and Events."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lore_operator.engine import resources
from lore_operator.engine.client import KubeClient, Manifest
from lore_operator.plan.types import Event


def status_patch(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7386) that turns one status into another; empty where they mean the same."""
    patch: dict[str, Any] = {}
    for name in stored.keys() | wanted.keys():
        before, after = stored.get(name), wanted.get(name)
        if before == after:
            continue
        nested = isinstance(before, Mapping) and isinstance(after, Mapping)
        patch[name] = status_patch(before, after) if nested else after  # type: ignore[arg-type]
    return {name: patch[name] for name in sorted(patch)}


async def write_status(client: KubeClient, resource: Manifest, wanted: Mapping[str, Any]) -> Manifest | None:
    """Patch the status of exactly this object where it differs; the object as it is then. Conflict for a successor."""
    patch = status_patch(resource.get("status") or {}, wanted)
    if not patch:
        return None
    metadata = resource["metadata"]
    body = {"metadata": {"uid": metadata["uid"]}, "status": patch}
    kind = resources.KINDS[resource["kind"]]
    return await client.merge(kind, metadata["namespace"], metadata["name"], body, subresource="status")


async def write_event(client: KubeClient, resource: Manifest, event: Event, instance: str) -> None:
    """Post one Event about a resource."""
    metadata, now = resource["metadata"], datetime.now(UTC)
    digest = hashlib.sha256(f"{metadata['uid']}{event.reason}{event.message}{now.timestamp()}".encode()).hexdigest()
    await client.create(
        {
            "apiVersion": resources.EVENTS.api_version,
            "kind": "Event",
            "metadata": {"name": f"{metadata['name'][:200]}.{digest[:16]}", "namespace": metadata["namespace"]},
            "regarding": {
                "apiVersion": resource["apiVersion"],
                "kind": resource["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "type": event.type,
            "reason": event.reason[:128],
            "note": event.message[:1024],
            "action": "Reconcile",
            "reportingController": "lore-platform.io/operator",
            "reportingInstance": instance[:128],
        },
        resources.EVENTS,
    )
