"""From a pod's failure to the Job's condition, which is Kubernetes', and to the train job's, which is ours."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.operator.load import watched
from lore_operator.children.labels import OWNER_NAME, WATCH_SELECTOR
from lore_operator.children.overrides import MAIN
from lore_operator.engine.client import KubeClient
from lore_operator.engine.resources import JOBS, PODS, TRAIN_JOBS

_SECONDS: Final = 60.0
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Delay:
    """Seconds from the write of the pod's status until each was seen."""

    job: float
    told: float


async def failure_delays(client: KubeClient, namespace: str, names: list[str]) -> list[Delay]:
    """Let the pod of each train job fail, one after the other."""
    found = (await client.list_all(PODS, namespace, WATCH_SELECTOR)).items
    pods = {pod["metadata"]["labels"][OWNER_NAME]: pod["metadata"]["name"] for pod in found}
    return [await _delay(client, namespace, name, pods[name]) for name in names]


async def _delay(client: KubeClient, namespace: str, name: str, pod: str) -> Delay:
    job_failed, told = _Seen(), _Seen()

    def note_job(item: Manifest) -> None:
        if item["metadata"]["labels"].get(OWNER_NAME) == name and "FailureTarget" in _true(item):
            job_failed.note()

    def note_train_job(item: Manifest) -> None:
        if item["metadata"]["name"] == name and _true(item).get("Reconciling") == "BackingOff":
            told.note()

    jobs, train_jobs = [(await client.list_all(kind, namespace)).resource_version for kind in (JOBS, TRAIN_JOBS)]
    async with (
        watched(client, JOBS, namespace, jobs, note_job, "MODIFIED"),
        watched(client, TRAIN_JOBS, namespace, train_jobs, note_train_job, "MODIFIED"),
    ):
        start = time.monotonic()
        await client.merge(PODS, namespace, pod, {"status": _failed()}, "status")
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(job_failed.event.wait(), told.event.wait())
    return Delay(job_failed.at - start, told.at - start)


class _Seen:
    """The first time that something was seen."""

    def __init__(self) -> None:
        self.at, self.event = 0.0, asyncio.Event()

    def note(self) -> None:
        if not self.event.is_set():
            self.at = time.monotonic()
            self.event.set()


def _true(item: Manifest) -> dict[str, str]:
    """Conditions that hold, with their reasons."""
    conditions = (item.get("status") or {}).get("conditions") or []
    return {one["type"]: one.get("reason", "") for one in conditions if one["status"] == "True"}


def _failed() -> Manifest:
    """What the kubelet says of a pod whose container died of its memory limit."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": now, "finishedAt": now}
    container = {"name": MAIN, "image": "trainer:bench", "imageID": "", "ready": False, "restartCount": 0}
    return {"phase": "Failed", "containerStatuses": [{**container, "lastState": {}, "state": {"terminated": ended}}]}
