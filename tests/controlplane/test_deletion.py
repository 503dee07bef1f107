"""Deleting: a resource in every way the API server knows, its namespace, and what a finished run leaves."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cluster.faults import FaultyClient, Operator
from cluster.fixtures import restricted_namespace
from cluster.operator_process import Api, OperatorProcess, condition, until
from cluster.train_jobs import appeared, succeed, train_job
from controlplane.test_missing import DIRECT
from controlplane.test_operator_serving import MODEL, evaluation

from hack.cluster.kubectl import Kubectl
from lore_operator.__main__ import PLANNERS
from lore_operator.children.labels import WATCH_SELECTOR
from lore_operator.engine.errors import NotFound
from lore_operator.engine.keys import Key
from lore_operator.engine.observe import WATCHED
from lore_operator.engine.resources import (
    CONFIG_MAPS,
    HTTP_ROUTES,
    INFERENCE_GRAPHS,
    JOB_SETS,
    JOBS,
    KINDS,
    MODELS,
    TRAIN_JOBS,
)

pytestmark = pytest.mark.usefixtures("kserve_kinds")
HELD = "example.invalid/held"
LATER = datetime(2026, 11, 2, tzinfo=UTC)
"""A day after the end that the pods of `succeed` report."""


@pytest.fixture
async def client(api: Api) -> AsyncIterator[FaultyClient]:
    """The operator's connection."""
    async with FaultyClient() as client:
        yield client


def key_of(api: Api, resource: dict[str, Any]) -> Key:
    return Key(resource["kind"], api.namespace, resource["metadata"]["name"])


async def running(api: Api, client: FaultyClient, resource: dict[str, Any]) -> tuple[Operator, Key]:
    """An operator at rest beside a resource of which something runs."""
    await api.create(resource)
    operator = Operator(client, api.namespace, PLANNERS)
    await operator.settle(key_of(api, resource), client.journal)
    return operator, key_of(api, resource)


async def delete(api: Api, key: Key, propagation: str) -> None:
    found = await api.get(KINDS[key.kind], key.name)
    await api.client.delete(
        KINDS[key.kind], key.namespace, key.name, uid=found["metadata"]["uid"], propagation=propagation
    )


async def children(api: Api) -> list[str]:
    """What the operator has made in the namespace and is still there."""
    served = [kind for kind in WATCHED if kind not in (JOB_SETS, INFERENCE_GRAPHS, HTTP_ROUTES)]
    found = [(kind, await api.client.list_all(kind, api.namespace, WATCH_SELECTOR)) for kind in served]
    return sorted(f"{kind.kind}/{item['metadata']['name']}" for kind, listed in found for item in listed.items)


async def exists(api: Api, key: Key) -> bool:
    try:
        await api.get(KINDS[key.kind], key.name)
    except NotFound:
        return False
    return True


async def test_in_the_foreground_a_resource_goes_after_its_children_and_gets_nothing_new(
    api: Api, client: FaultyClient
) -> None:
    operator, key = await running(api, client, train_job())
    await api.patch(CONFIG_MAPS, "demo-sft-a1-report", {"metadata": {"finalizers": [HELD]}})
    before = list(client.journal)

    await delete(api, key, "Foreground")
    await until(lambda: children(api), lambda found: found == ["ConfigMap/demo-sft-a1-report"])
    for seen in (frozenset[str](), None):  # a watch that has told nothing yet, and one that has told all
        await operator.look(seen)
        assert (await operator.reconcile(key)).gone
    assert client.journal == before
    assert await exists(api, key), "it waits for its last child"

    await api.patch(CONFIG_MAPS, "demo-sft-a1-report", {"metadata": {"finalizers": None}})
    await until(lambda: exists(api, key), lambda found: not found)
    assert await children(api) == []


@pytest.mark.parametrize("resource", [train_job(), evaluation("llm")], ids=lambda item: item["kind"])
async def test_in_the_background_a_resource_goes_at_once_and_its_children_follow(
    api: Api, client: FaultyClient, resource: dict[str, Any]
) -> None:
    await api.create(MODEL)
    operator, key = await running(api, client, resource)
    assert await children(api)
    before = list(client.journal)

    await delete(api, key, "Background")

    assert not await exists(api, key)
    assert (await operator.reconcile(key)).gone, "its children may still be there"
    await until(lambda: children(api), lambda found: found == [])
    assert client.journal == before
    assert await api.names(MODELS) == ["llm"]


async def test_children_that_were_orphaned_are_nobodys_and_a_new_resource_of_the_name_leaves_them_alone(
    api: Api, client: FaultyClient
) -> None:
    operator, key = await running(api, client, train_job())
    await delete(api, key, "Orphan")
    await until(lambda: exists(api, key), lambda found: not found)
    job = await api.get(JOBS, "demo-sft-a1")
    assert "ownerReferences" not in job["metadata"]

    await api.create(train_job())
    await operator.settle(key, client.journal)

    found = await api.get(TRAIN_JOBS, "demo")
    assert condition(found, "Stalled")["reason"] == "NameConflict"
    assert (await api.get(JOBS, "demo-sft-a1"))["metadata"]["uid"] == job["metadata"]["uid"]


@pytest.fixture
def podless(kubectl: Kubectl, namespace: str) -> None:
    """No room for pods: Kubernetes itself lets a namespace wait for the time that they have to end."""
    kubectl("create", "quota", "podless", "--hard=pods=0", "-n", namespace)


@pytest.mark.usefixtures("podless")
async def test_a_namespace_goes_while_the_operator_works_in_it_and_is_served_again_when_it_comes_back(
    api: Api, operator: OperatorProcess, kubectl: Kubectl
) -> None:
    for resource in (MODEL, DIRECT, evaluation("llm"), *(train_job(f"demo-{number}") for number in range(5))):
        await api.create(resource)
    await until(lambda: api.names(JOBS), bool)

    kubectl("delete", "namespace", api.namespace, "--timeout=240s")

    kubectl.apply(restricted_namespace(api.namespace))
    await api.create(train_job())
    await appeared(api, "demo-sft-a1")
    assert operator.stop() == 0


async def test_after_its_time_a_finished_run_leaves_its_record_and_its_models(api: Api, client: FaultyClient) -> None:
    operator, key = await running(api, client, train_job())
    for stage in ("sft", "student"):
        await succeed(api, f"demo-{stage}-a1")
        await operator.settle(key, client.journal)
    assert await api.names(JOBS) == ["demo-sft-a1", "demo-student-a1"]

    await api.patch(TRAIN_JOBS, "demo", {"spec": {"runPolicy": {"ttlAfterFinished": "1h"}}})
    later = Operator(client, api.namespace, PLANNERS, now=lambda: LATER)
    await later.look()
    await later.reconcile(key)
    await until(lambda: api.names(JOBS), lambda found: found == [])
    created = client.created()
    await later.settle(key, client.journal)

    assert client.created() == created, "what is gone is not made again"
    assert condition(await api.get(TRAIN_JOBS, "demo"), "Complete")["status"] == "True"
    assert {"demo-sft-a1", "demo-sft-a1-report", "demo-student-a1-report"} <= set(await api.names(CONFIG_MAPS))
    assert await api.names(MODELS) == ["demo-llm", "demo-student"]
