"""Many objects at once, and when each one's child was there."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from lore_operator.engine.client import KubeClient
from lore_operator.engine.errors import ApiError
from lore_operator.engine.resources import Resource

AT_ONCE: Final = 32
Manifest = dict[str, Any]


@dataclass
class Run:
    """When each object was created and its child seen, by the object's name, in seconds of one clock."""

    created: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the first create to the last child."""
        return max(self.seen.values()) - min(self.created.values())

    @property
    def delays(self) -> list[float]:
        """From each object's create to its child, sorted."""
        return sorted(self.seen[name] - self.created[name] for name in self.created)


async def create_all(
    client: KubeClient, manifests: list[Manifest], resource: Resource, child: Resource, owner: Callable[[Manifest], str]
) -> Run:
    """Create all objects at once and return when each has a child; `owner` names the object of a child."""
    run, done = Run(), asyncio.Event()
    namespace = manifests[0]["metadata"]["namespace"]
    slots = asyncio.Semaphore(AT_ONCE)

    def note(item: Manifest) -> None:
        run.seen.setdefault(owner(item), time.monotonic())
        if len(run.seen) >= len(manifests):
            done.set()

    async def create(manifest: Manifest) -> None:
        async with slots:
            run.created[manifest["metadata"]["name"]] = time.monotonic()
            await client.create(manifest, resource)

    version = (await client.list_all(child, namespace)).resource_version
    async with watched(client, child, namespace, version, note, "ADDED"):
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
