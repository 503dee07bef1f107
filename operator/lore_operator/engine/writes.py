"""How the decisions' writes become API calls: create first, apply what is ours, patch and delete exactly what was seen."""

from typing import Any, Final

from lore_operator.children.job import QUEUE
from lore_operator.children.labels import FIELD_MANAGER
from lore_operator.engine import remedies, resources
from lore_operator.engine.client import KubeClient, Manifest
from lore_operator.engine.errors import Conflict, NotFound
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import resource_of
from lore_operator.plan.types import Apply, Delete, Patch

_RESOURCES: Final = {resource.kind: resource for resource in resources.ALL}


async def create(client: KubeClient, wanted: Apply) -> Manifest:
    """Create an object. AlreadyExists is the caller's to judge: the name may be a stranger's.

    A Job for a queue is created only where Kueue is there to hold it: without Kueue it would take its GPUs at once.
    A field that this cluster does not know, of an older Kubernetes or KServe or in a podTemplate, is refused and not dropped.
    """
    queue = (wanted.object["metadata"].get("labels") or {}).get(QUEUE)
    if queue and not await client.serves(remedies.KUEUE):
        raise NotFound("create", wanted.object["kind"], 404, "NotFound", remedies.for_queue(queue))
    return await client.create(wanted.object, resource_of(wanted.object), strict=True)


async def update(client: KubeClient, wanted: Apply) -> Manifest:
    """Apply an object that exists and is ours. Conflict where it is gone or another one by now.

    What was created by a plain create is held by an `Update` entry of `managedFields`; fields that a later apply leaves
    out would stay for ever. So that entry is turned into an `Apply` entry first, as kubectl does when it migrates.
    """
    resource, metadata = resource_of(wanted.object), wanted.object["metadata"]
    try:
        live = await client.get(resource, metadata["namespace"], metadata["name"])
    except NotFound as error:
        raise Conflict(error.verb, error.target, error.status, error.reason, error.message) from error
    if operations := _migration(live):
        await client.json_patch(resource, metadata["namespace"], metadata["name"], operations)
    return await client.apply(_with_uid(wanted.object, live), resource)


async def patch(client: KubeClient, key: Key, wanted: Patch) -> Manifest:
    """Merge-patch one object; Conflict where it moved since it was observed, or is gone."""
    try:
        return await client.merge(_RESOURCES[wanted.key.kind], key.namespace, wanted.key.name, wanted.body)
    except NotFound as error:
        raise Conflict(error.verb, error.target, error.status, error.reason, error.message) from error


async def delete(client: KubeClient, key: Key, wanted: Delete) -> None:
    """Delete one object; that it is gone already is as good."""
    try:
        await client.delete(
            _RESOURCES[wanted.key.kind],
            key.namespace,
            wanted.key.name,
            uid=wanted.uid,
            resource_version=wanted.resource_version,
            propagation=wanted.propagation,
        )
    except NotFound:
        return


def _migration(live: Manifest) -> list[dict[str, Any]]:
    entries = live["metadata"].get("managedFields") or []
    ours = [(i, entry) for i, entry in enumerate(entries) if entry.get("manager") == FIELD_MANAGER]
    if any(entry["operation"] == "Apply" for _, entry in ours):
        return []
    created = [i for i, entry in ours if entry["operation"] == "Update" and not entry.get("subresource")]
    if not created:
        return []
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "replace", "path": f"/metadata/managedFields/{created[0]}/operation", "value": "Apply"},
    ]


def _with_uid(manifest: Manifest, live: Manifest) -> Manifest:
    # With a uid, an apply to an object that has just been deleted is a Conflict, not a silent create.
    return {**manifest, "metadata": {**manifest["metadata"], "uid": live["metadata"]["uid"]}}
