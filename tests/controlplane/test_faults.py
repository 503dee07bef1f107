"""What an operator leaves behind that dies, sees the past, is refused or has a rival: the same as one that none of it befell.

After "Automatic Reliability Testing for Cluster Management Controllers" (Sun et al., OSDI 2022), which calls its tool Sieve:
crashes between writes, stale views and views that lack something. The API server, its rules and the Job controller are real.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cluster.faults import Crash, FaultyClient, Moment, Operator, burst, crash_at, refused_reads
from cluster.operator_process import Api
from cluster.train_jobs import succeed, train_job

from lore_operator.__main__ import PLANNERS
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import (
    CONFIG_MAPS,
    JOBS,
    MODELS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    TRAIN_JOBS,
)

WRITES = 18
"""A train job with one stage that is published takes at most so many: objects, notes, status and Events."""
VIEWS: Mapping[str, frozenset[str] | None] = {
    "all of it": None,
    "nothing": frozenset(),
    "no Job": frozenset({"ConfigMap", "Role", "RoleBinding", "ServiceAccount"}),
    "no ConfigMap": frozenset({"Job", "Role", "RoleBinding", "ServiceAccount"}),
}
_CHILDREN = (CONFIG_MAPS, JOBS, SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, MODELS)
_VOLATILE = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"}
_TIMES = {"startTime", "completionTime", "lastTransitionTime", "lastUpdated"}


async def create(api: Api, name: str) -> Key:
    stage = {"name": "sft", "sft": {}, "publish": {"as": f"{name}-model"}}
    await api.create(train_job(name, stages=[stage]))
    return Key("RelevanceTrainJob", api.namespace, name)


async def settle(client: FaultyClient, key: Key, view: frozenset[str] | None = None) -> None:
    """Passes until nothing moves. One that dies has a successor, which begins with what `view` lets it see."""
    try:
        await Operator(client, key.namespace, PLANNERS).settle(key, client.journal)
    except Crash:
        successor = Operator(client, key.namespace, PLANNERS)
        await successor.look(view)
        await successor.reconcile(key)
        await successor.settle(key, client.journal)


async def whole_life(api: Api, name: str, client: FaultyClient, view: frozenset[str] | None = None) -> dict[str, Any]:
    """A train job from its creation to its published model, and what there is in the end."""
    key = await create(api, name)
    await settle(client, key, view)
    await succeed(api, f"{name}-sft-a1")
    await settle(client, key, view)
    return await final_state(api, name)


async def final_state(api: Api, name: str) -> dict[str, Any]:
    """Everything of one train job, without what differs between two that went the same way."""
    found = {f"{kind.kind}/{item['metadata']['name']}": item for kind in _CHILDREN for item in await api.items(kind)}
    mine = {path: plain(item) for path, item in found.items() if name in path}
    mine["status"] = plain((await api.get(TRAIN_JOBS, name))["status"])
    same: dict[str, Any] = json.loads(json.dumps(mine).replace(name, "NAME"))
    return same


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: plain(item) for key, item in value.items() if key not in _VOLATILE | _TIMES}
    # The API server and the Job controller fill a Job in as they like; its name, labels and owner are ours.
    return {key: kept[key] for key in ("kind", "metadata")} if kept.get("kind") == "Job" else kept


@pytest.fixture
async def undisturbed(api: Api) -> dict[str, Any]:
    async with FaultyClient() as client:
        found = await whole_life(api, "undisturbed", client)
    assert len(client.journal) <= WRITES, client.journal
    return found


def created_once(client: FaultyClient) -> bool:
    return len(set(client.created())) == len(client.created())


@pytest.mark.parametrize("view", VIEWS)
async def test_a_crash_after_any_write_changes_nothing_about_the_end(
    api: Api, undisturbed: dict[str, Any], view: str
) -> None:
    await crash_everywhere(api, undisturbed, "after", view)


async def test_a_crash_before_any_write_changes_nothing_about_the_end(api: Api, undisturbed: dict[str, Any]) -> None:
    await crash_everywhere(api, undisturbed, "before", "all of it")


async def crash_everywhere(api: Api, undisturbed: dict[str, Any], moment: Moment, view: str) -> None:
    async def one(number: int) -> None:
        async with FaultyClient(crash_at(number, moment)) as client:
            found = await whole_life(api, f"crash-{number:02d}", client, VIEWS[view])
        assert found == undisturbed, f"died {moment} write {number}: {client.journal}"
        assert created_once(client), f"died {moment} write {number}: {client.journal}"

    await asyncio.gather(*map(one, range(WRITES)))


@pytest.mark.parametrize("seed", range(4))
async def test_refusals_and_lost_answers_change_nothing_about_the_end(
    api: Api, undisturbed: dict[str, Any], seed: int
) -> None:
    async with FaultyClient(burst(seed)) as client:
        found = await whole_life(api, "burst", client)

    assert found == undisturbed, client.journal
    assert created_once(client), client.journal


@pytest.mark.parametrize("seed", range(2))
async def test_reads_that_are_refused_change_nothing_about_the_end(
    api: Api, undisturbed: dict[str, Any], seed: int
) -> None:
    async with FaultyClient() as client:
        client.reads = refused_reads(seed)
        found = await whole_life(api, "unread", client)

    assert found == undisturbed, client.journal
    assert created_once(client), client.journal


@pytest.mark.parametrize("seed", range(2))
async def test_a_clock_that_jumps_changes_nothing_about_the_end(
    api: Api, undisturbed: dict[str, Any], seed: int
) -> None:
    chance = random.Random(seed)

    def now() -> datetime:
        """Off by up to a year in either direction, by another amount at each look."""
        return datetime.now(UTC) + timedelta(days=chance.uniform(-365, 365))

    key = await create(api, "leaps")
    async with FaultyClient() as client:
        operator = Operator(client, api.namespace, PLANNERS, now=now)
        await operator.settle(key, client.journal)
        await succeed(api, "leaps-sft-a1")
        await operator.settle(key, client.journal)

    assert await final_state(api, "leaps") == undisturbed, client.journal
    assert created_once(client), client.journal


async def test_a_rival_field_manager_wins_none_of_our_fields_and_loses_none_of_its_own(api: Api) -> None:
    key, name = await create(api, "fields"), "fields-train"
    wide = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "patch"]}]
    async with FaultyClient() as client, KubeClient(connect, manager="rival") as rival:
        await settle(client, key)
        before = await api.get(ROLES, name)
        metadata = {"name": name, "namespace": api.namespace, "labels": {"team": "search"}}
        await rival.apply(
            {"apiVersion": before["apiVersion"], "kind": "Role", "metadata": metadata, "rules": wide}, ROLES
        )

        await settle(client, key)

        after = await api.get(ROLES, name)
        assert after["rules"] == before["rules"]
        assert after["metadata"]["labels"] == {**before["metadata"]["labels"], "team": "search"}
        written = list(client.journal)
        await settle(client, key)
        assert client.journal == written, "the two are at peace"


async def test_two_operators_by_mistake_corrupt_nothing(api: Api, undisturbed: dict[str, Any]) -> None:
    async with FaultyClient() as one, FaultyClient() as other:
        key = await create(api, "rivals")
        rivals = [Operator(client, api.namespace, PLANNERS) for client in (one, other)]
        for _ in range(4):
            await asyncio.gather(*(rival.reconcile(key) for rival in rivals))
        await settle(one, key)
        await succeed(api, "rivals-sft-a1")
        for _ in range(4):
            await asyncio.gather(*(rival.look() for rival in rivals))
            await asyncio.gather(*(rival.reconcile(key) for rival in rivals))
        await settle(other, key)

    created = one.created() + other.created()
    assert await final_state(api, "rivals") == undisturbed
    assert len(set(created)) == len(created)
