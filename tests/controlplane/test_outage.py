"""The API server goes away and comes back, with its history or without, while the operator runs."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from cluster.campaign import WHOLE
from cluster.operator_process import Api, OperatorProcess, condition, until
from cluster.train_jobs import MADE, OTHER, appeared, jobs, succeed, train_job

from hack.cluster.controlplane import ControlPlane
from hack.cluster.process import Daemon
from lore_operator.children.labels import WATCH_SELECTOR, owner_labels
from lore_operator.engine.client import KubeClient, Listing
from lore_operator.engine.credentials import connect
from lore_operator.engine.keys import Key
from lore_operator.engine.observe import owners
from lore_operator.engine.projection import trim
from lore_operator.engine.resources import CONFIG_MAPS, TRAIN_JOBS
from lore_operator.engine.watcher import Watcher

SECONDS = 60.0 if WHOLE else 0.0
"""How long it stays away after the operator has noticed."""


def api_server(control_plane: ControlPlane) -> Daemon:
    (found,) = (daemon for daemon in control_plane.daemons() if daemon.name == "kube-apiserver")
    return found


async def said(operator: OperatorProcess, words: str) -> None:
    async def messages() -> list[str]:
        return [line["message"] for line in operator.lines() if words in line["message"]]

    await until(messages, bool)


async def to_the_end(api: Api) -> dict[str, dict[str, Any]]:
    for stage, digest in (("sft", MADE), ("student", OTHER)):
        await appeared(api, f"demo-{stage}-a1")
        await succeed(api, f"demo-{stage}-a1", digest)
    await until(lambda: api.get(TRAIN_JOBS, "demo"), lambda found: condition(found, "Complete").get("status") == "True")
    return await jobs(api)


async def test_an_api_server_that_was_away_and_lost_its_history_changes_nothing_about_the_end(
    control_plane: ControlPlane, api: Api, operator: OperatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    await api.create(train_job())
    before = await appeared(api, "demo-sft-a1")
    ghost = await api.create(own_config_map("ghost"))
    kept = await api.client.list_all(CONFIG_MAPS, api.namespace, WATCH_SELECTOR)
    await api.client.delete(CONFIG_MAPS, api.namespace, "ghost", uid=ghost["metadata"]["uid"])

    api_server(control_plane).stop()
    await said(operator, "listing again")
    await asyncio.sleep(SECONDS)
    compact(control_plane)
    await asyncio.to_thread(control_plane.start)

    with caplog.at_level(logging.INFO, "lore_operator.engine.watcher"):
        assert await without_ghosts(api, kept) == {"demo-sft-a1", "demo-sft-a1-report"}
    assert "(410 " in caplog.text
    after = await to_the_end(api)
    assert sorted(after) == ["demo-sft-a1", "demo-student-a1"]
    assert after["demo-sft-a1"]["metadata"]["uid"] == before["metadata"]["uid"]
    assert operator.stop() == 0, "it lived through it"


def own_config_map(name: str) -> dict[str, Any]:
    labels = owner_labels("RelevanceTrainJob", "other")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


async def without_ghosts(api: Api, kept: Listing) -> set[str]:
    """Names in a watcher that begins with an old list: the server cannot tell what went since, so it lists again."""
    lists = iter([kept])
    woken: list[Key] = []

    class Remembering(KubeClient):
        async def list_all(self, *arguments: Any, **options: Any) -> Listing:
            return next(lists, None) or await super().list_all(*arguments, **options)

    async with Remembering(connect) as client:
        watcher = Watcher(
            client,
            CONFIG_MAPS,
            labels=WATCH_SELECTOR,
            trim=trim,
            owners=owners,
            wake=woken.append,
            namespace=api.namespace,
        )
        running = asyncio.create_task(watcher.run())
        await until(
            lambda: asyncio.sleep(0, watcher.synced.is_set() and watcher.find(api.namespace, "ghost") is None), bool
        )
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert woken[-1] == Key("RelevanceTrainJob", api.namespace, "other")
    return {item["metadata"]["name"] for item in watcher.owned(Key("RelevanceTrainJob", api.namespace, "demo"))}


def compact(control_plane: ControlPlane) -> None:
    """Everything but the present is gone from etcd; a watch from a version before is answered with 410 Gone."""
    with httpx.Client(base_url=control_plane.etcd, trust_env=False) as etcd:
        now = etcd.post("/v3/kv/range", json={"key": "AA=="}).json()["header"]["revision"]
        etcd.post("/v3/kv/compaction", json={"revision": now, "physical": True}).raise_for_status()
