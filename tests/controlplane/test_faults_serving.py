"""Evaluations and deployments whose operator dies at a write: the same end, and nothing created twice.

As test_faults.py does for train jobs. `make campaign` takes every write, other runs a few.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cluster.campaign import SEED, WHOLE
from cluster.faults import Crash, FaultyClient, Moment, Operator, crash_at
from cluster.fixtures import restricted_namespace
from cluster.operator_process import Api, until
from controlplane.test_faults import plain
from controlplane.test_operator_serving import MODEL, SERVING, Cluster, beside_a_router, deployment, digest, evaluation

from hack.cluster.kubectl import Kubectl
from lore_operator.__main__ import PLANNERS
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import (
    CONFIG_MAPS,
    EVALS,
    INFERENCE_SERVICES,
    JOBS,
    REVISIONS,
    SERVICES,
    WORKLOADS,
)
from lore_operator.plan.routing import WRITTEN

WRITES = 48
"""An evaluation that passes and a deployment that comes to serve take at most so many writes together."""
AT_ONCE = 4
MANAGED = "app.kubernetes.io/managed-by"
SAMPLE = 6
_KEPT = (CONFIG_MAPS, JOBS, INFERENCE_SERVICES, REVISIONS, SERVICES, WORKLOADS)
pytestmark = pytest.mark.usefixtures("kserve_kinds", "entrance_kinds")


class Life:
    """One evaluation and one deployment in a namespace of their own, from their creation to callers that are served."""

    def __init__(self, api: Api, cluster: Cluster, client: FaultyClient) -> None:
        self._api, self._cluster, self._client = api, cluster, client
        self._evaluation = Key("RelevanceEval", api.namespace, "llm-eval")
        self._deployment = Key("RelevanceDeployment", api.namespace, "search")

    async def run(self) -> dict[str, Any]:
        """What there is in the end."""
        await self._api.create(MODEL)
        await self._api.create(evaluation("llm"))
        await self._settle(self._evaluation)
        await self._cluster.end_evaluation("llm")
        await self._settle(self._evaluation)
        await self._api.create(SERVING)
        await self._settle(self._deployment)
        head = await self._cluster.job_like("search-head-")
        await self._cluster.end_job(head, digest("d"), {"coverage": {"share": "0.998000"}})
        await self._settle(self._deployment)
        await self._cluster.bring_up_predictors()
        await until(lambda: self._api.items(WORKLOADS), _available)  # as Kubernetes' own controller tells, in its time
        await self._settle(self._deployment)
        await self._cluster.router_appears()
        await self._settle(self._deployment)
        return await self._end()

    async def _settle(self, key: Key) -> None:
        """Passes until nothing moves; an operator that dies has a successor, which has seen nothing yet at its first pass."""
        try:
            await Operator(self._client, key.namespace, PLANNERS).settle(key, self._client.journal)
        except Crash:
            successor = Operator(self._client, key.namespace, PLANNERS)
            await successor.look(frozenset())
            await successor.reconcile(key)
            await successor.settle(key, self._client.journal)

    async def _end(self) -> dict[str, Any]:
        found = {
            f"{kind.kind}/{item['metadata']['name']}": _ours(item)
            for kind in _KEPT
            for item in await self._api.items(kind)
            if item["metadata"].get("labels", {}).get(MANAGED) == "lore-operator" and not _of_kserve(item)
        }
        found["verdict"] = plain((await self._api.get(EVALS, "llm-eval"))["status"])
        found["serving"] = plain((await deployment(self._api))["status"])
        del found["serving"]["router"][
            "configHash"
        ]  # of what is compared as ConfigMap/search-router, the namespace's name in it
        same: dict[str, Any] = json.loads(json.dumps(found).replace(self._api.namespace, "NAMESPACE"))
        return same


def _available(found: list[dict[str, Any]]) -> bool:
    return all(item.get("status", {}).get("availableReplicas") for item in found)


def _of_kserve(item: dict[str, Any]) -> bool:
    return any(owner["kind"] == INFERENCE_SERVICES.kind for owner in item["metadata"].get("ownerReferences", ()))


def _ours(item: dict[str, Any]) -> Any:
    """Without times and what Kubernetes fills in: how a child does, and the addresses that a Service was given."""
    spec = {name: value for name, value in item.get("spec", {}).items() if name not in ("clusterIP", "clusterIPs")}
    whole = plain({**{name: value for name, value in item.items() if name != "status"}, "spec": spec})
    whole["metadata"].get("annotations", {}).pop(WRITTEN, None)
    return whole


class Lives:
    """Namespaces with a router each, for lives beside one another."""

    def __init__(self, api: Api, kubectl: Kubectl) -> None:
        self._api, self._kubectl = api, kubectl
        self._runners: list[web.AppRunner] = []
        self._namespaces: list[str] = []
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def one(self, name: str, client: FaultyClient) -> dict[str, Any]:
        """A whole life in a namespace of its own."""
        async with self._slots, client:
            api = Api(self._api.client, f"crash-{self._api.namespace[-6:]}-{name}")
            await asyncio.to_thread(self._kubectl.apply, restricted_namespace(api.namespace))
            self._namespaces.append(api.namespace)
            cluster, runner = await beside_a_router(api)
            self._runners.append(runner)
            return await Life(api, cluster, client).run()

    async def end(self) -> None:
        """No router and no namespace is left."""
        for runner in self._runners:
            await runner.cleanup()
        if self._namespaces:
            await asyncio.to_thread(self._kubectl, "delete", "namespace", *self._namespaces, "--wait=false")


@pytest.fixture
async def lives(api: Api, kubectl: Kubectl, kubeconfig: Path) -> AsyncIterator[Lives]:
    found = Lives(api, kubectl)
    yield found
    await found.end()


def writes(moment: Moment) -> Sequence[int]:
    if WHOLE:
        return range(WRITES)
    print(f"LORE_SEED={SEED}")
    return sorted(random.Random(f"{SEED}/{moment}").sample(range(WRITES), SAMPLE))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crash_at_a_write_changes_nothing_about_verdict_and_roll_out(lives: Lives, moment: Moment) -> None:
    calm = FaultyClient()
    undisturbed = await lives.one("calm", calm)
    assert undisturbed["serving"]["stable"]
    assert len(calm.journal) <= WRITES, calm.journal

    async def crashed(number: int) -> None:
        client = FaultyClient(crash_at(number, moment))
        found = await lives.one(f"{moment}-{number:02d}", client)
        assert found == undisturbed, f"died {moment} write {number}: {client.journal}"
        assert len(set(client.created())) == len(client.created()), f"died {moment} write {number}: {client.journal}"

    async with asyncio.TaskGroup() as group:  # the first that differs ends the rest
        for number in writes(moment):
            group.create_task(crashed(number))
