"""The same creates by a client that watches nothing and decides beforehand: what this machine's API server takes for them."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.operator import ours
from benchmarks.operator.load import AT_ONCE
from lore_operator.children.settings import Images, Settings
from lore_operator.engine.client import KubeClient
from lore_operator.engine.resources import TRAIN_JOBS, resource_of
from lore_operator.plan import trainjob
from lore_operator.plan.types import Observed

_SETTINGS: Final = Settings(Images("trainer:bench", "server:bench", "router:bench"), "bench", shared_account=True)
Manifest = dict[str, Any]


async def seconds(client: KubeClient, namespace: str, size: int) -> float:
    """From the first train job to the last Job, each train job with its config, its report and its Job, in this order."""
    slots = asyncio.Semaphore(AT_ONCE)
    every = [_rendered(namespace, index) for index in range(size)]
    for shared in every[0][1]:
        await client.create(shared, resource_of(shared))

    async def one(train_job: Manifest, own: list[Manifest]) -> None:
        async with slots:
            made = await client.create(train_job, TRAIN_JOBS)
            for child in own:
                child["metadata"]["ownerReferences"][0]["uid"] = made["metadata"]["uid"]
                await client.create(child, resource_of(child))

    start = time.monotonic()
    await asyncio.gather(*(one(train_job, own) for train_job, _, own in every))
    return time.monotonic() - start


def _rendered(namespace: str, index: int) -> tuple[Manifest, list[Manifest], list[Manifest]]:
    """A train job, what all of the namespace share, and its children."""
    resource = ours.train_job(namespace, index)
    stored = {**resource, "metadata": {**resource["metadata"], "uid": "later", "generation": 1}}
    objects = [item.object for item in trainjob.plan(stored, Observed(), datetime.now(UTC), _SETTINGS).apply]
    shared = [item for item in objects if "ownerReferences" not in item["metadata"]]
    return resource, shared, [item for item in objects if item not in shared]
