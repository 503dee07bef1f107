"""Many objects at once, and when each one's child was there."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from lore_operator.engine.client import KubeClient
from lore_operator.engine.errors import ApiError
from lore_operator.engine.resources import Resource

AT_ONCE: Final = 32
Manifest = dict[str, Any]


@dataclass
class Run:
    """When each object was created and its child of each kind seen, by the object's name, in seconds of one clock."""

    created: dict[str, float] = field(default_factory=dict)
    seen: dict[str, dict[str, float]] = field(default_factory=dict)

    def seconds(self, kind: str) -> float:
        """From the first create to the last child of a kind."""
        return max(self.seen[kind].values()) - min(self.created.values())

    def delays(self, kind: str) -> list[float]:
        """From each object's create to its child of a kind, sorted."""
        return sorted(self.seen[kind][name] - self.created[name] for name in self.created)


async def create_all(
    client: KubeClient,
    manifests: list[Manifest],
    resource: Resource,
    children: Mapping[Resource, Callable[[Manifest], str]],
) -> Run:
    """Create all objects at once and return when each has a child of each kind; its function names a child's object."""
    run, done = Run(seen={child.kind: {} for child in children}), asyncio.Event()
    namespace = manifests[0]["metadata"]["namespace"]
    slots = asyncio.Semaphore(AT_ONCE)

    def note(seen: dict[str, float], owner: Callable[[Manifest], str], item: Manifest) -> None:
        seen.setdefault(owner(item), time.monotonic())
        if all(len(found) >= len(manifests) for found in run.seen.values()):
            done.set()

    async def create(manifest: Manifest) -> None:
        async with slots:
            run.created[manifest["metadata"]["name"]] = time.monotonic()
            await client.create(manifest, resource)

    async with contextlib.AsyncExitStack() as watches:
        for child, owner in children.items():
            version = (await client.list_all(child, namespace)).resource_version
            seen = partial(note, run.seen[child.kind], owner)
            await watches.enter_async_context(watched(client, child, namespace, version, seen, "ADDED"))
        await asyncio.gather(*map(create, manifests), done.wait())
    return run


@contextlib.asynccontextmanager
async def watched(
    client: KubeClient,
    resource: Resource,
    namespace: str,
    version: str,
    note: Callable[[Manifest], None],
    event_type: str,
) -> AsyncIterator[None]:
    """Objects of events of one type, from a version on, go to `note` while the block runs."""

    async def follow() -> None:
        since = version
        while True:
            with contextlib.suppress(ApiError):
                async for event in client.watch(resource, since, namespace):
                    since = event.object["metadata"]["resourceVersion"]
                    if event.type == event_type:
                        note(event.object)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
