"""The API client against a real API server."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.kubectl import Kubectl
from lore_operator.engine import writes
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.errors import AlreadyExists, BadRequest, Conflict, Invalid, NotFound, Unreachable
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import CONFIG_MAPS, TRAIN_JOBS
from lore_operator.plan.types import Apply, Delete, ObjectKey, Patch


@pytest.fixture
async def client(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubeClient]:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    async with KubeClient(connect) as running:
        yield running


def config_map(namespace: str, name: str = "one", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "test"}},
        "data": data,
    }


async def test_a_name_that_is_taken_is_told_apart_from_other_conflicts(client: KubeClient, namespace: str) -> None:
    await client.create(config_map(namespace), CONFIG_MAPS)

    with pytest.raises(AlreadyExists, match="one"):
        await client.create(config_map(namespace), CONFIG_MAPS)


async def test_what_is_not_there_is_not_found(client: KubeClient, namespace: str) -> None:
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAPS, namespace, "nothing")


async def test_an_impossible_spec_is_refused_with_the_rule(client: KubeClient, namespace: str) -> None:
    broken = {
        "apiVersion": "lore-platform.io/v1alpha1",
        "kind": "RelevanceTrainJob",
        "metadata": {"name": "broken", "namespace": namespace},
        "spec": {"stages": []},
    }
    with pytest.raises(Invalid, match=r"spec\.baseModel"):
        await client.create(broken, TRAIN_JOBS)


async def test_a_field_that_the_cluster_does_not_know_is_refused_by_its_name(
    client: KubeClient, namespace: str
) -> None:
    job: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "newer", "namespace": namespace},
        "spec": {"futureField": 1, "template": {"spec": {"restartPolicy": "Never", "containers": []}}},
    }
    with pytest.raises(BadRequest, match=r'unknown field "spec\.futureField"') as refused:
        await writes.create(client, Apply(job))
    assert refused.value.condition_reason == "ApiInvalid"


async def test_a_list_is_whole_however_many_pages_it_has(
    client: KubeClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lore_operator.engine.client._PAGE", 2)
    for number in range(5):
        await client.create(config_map(namespace, f"n{number}"), CONFIG_MAPS)

    listing = await client.list_all(CONFIG_MAPS, namespace, "app=test")

    assert [item["metadata"]["name"] for item in listing.items] == ["n0", "n1", "n2", "n3", "n4"]


async def test_a_watch_tells_what_changed_after_the_list(client: KubeClient, namespace: str) -> None:
    listing = await client.list_all(CONFIG_MAPS, namespace, "app=test")
    await client.create(config_map(namespace), CONFIG_MAPS)

    async with aclosing(client.watch(CONFIG_MAPS, listing.resource_version, namespace, "app=test")) as events:
        first = await anext(events)

    assert (first.type, first.object["metadata"]["name"]) == ("ADDED", "one")


async def test_a_field_left_out_later_goes_away_though_it_came_with_a_plain_create(
    client: KubeClient, namespace: str
) -> None:
    await writes.create(client, Apply(config_map(namespace, kept="1", dropped="1")))

    await writes.update(client, Apply(config_map(namespace, kept="2")))

    assert (await client.get(CONFIG_MAPS, namespace, "one"))["data"] == {"kept": "2"}


async def test_applying_the_same_again_writes_nothing(client: KubeClient, namespace: str) -> None:
    await writes.create(client, Apply(config_map(namespace, a="1")))
    first = await writes.update(client, Apply(config_map(namespace, a="2")))

    second = await writes.update(client, Apply(config_map(namespace, a="2")))

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_fields_of_other_managers_are_left_alone(client: KubeClient, namespace: str, kubectl: Kubectl) -> None:
    await writes.create(client, Apply(config_map(namespace, a="1")))
    kubectl("annotate", "-n", namespace, "configmap/one", "theirs=yes")

    await writes.update(client, Apply(config_map(namespace, a="2")))

    found = await client.get(CONFIG_MAPS, namespace, "one")
    assert (found["data"], found["metadata"]["annotations"]) == ({"a": "2"}, {"theirs": "yes"})


async def test_an_update_never_creates_what_was_deleted_meanwhile(client: KubeClient, namespace: str) -> None:
    with pytest.raises(Conflict):
        await writes.update(client, Apply(config_map(namespace)))


async def test_a_successor_of_the_same_name_is_not_deleted(client: KubeClient, namespace: str) -> None:
    old = await client.create(config_map(namespace), CONFIG_MAPS)
    key = Key("RelevanceTrainJob", namespace, "x")
    first = Delete(ObjectKey("ConfigMap", "one"), uid=old["metadata"]["uid"], propagation="Background")
    await writes.delete(client, key, first)
    await client.create(config_map(namespace), CONFIG_MAPS)

    with pytest.raises(Conflict):
        await writes.delete(client, key, Delete(ObjectKey("ConfigMap", "one"), uid=old["metadata"]["uid"]))


async def test_what_another_began_to_use_is_not_deleted(client: KubeClient, namespace: str) -> None:
    seen = (await client.create(config_map(namespace), CONFIG_MAPS))["metadata"]
    await writes.update(client, Apply(config_map(namespace, a="1")))
    deletion = Delete(ObjectKey("ConfigMap", "one"), uid=seen["uid"], resource_version=seen["resourceVersion"])

    with pytest.raises(Conflict):
        await writes.delete(client, Key("RelevanceDeployment", namespace, "x"), deletion)


async def test_a_patch_of_what_moved_writes_nothing(client: KubeClient, namespace: str) -> None:
    seen = (await client.create(config_map(namespace), CONFIG_MAPS))["metadata"]
    await writes.update(client, Apply(config_map(namespace, a="1")))
    body = {"metadata": {"resourceVersion": seen["resourceVersion"], "annotations": {"a": "b"}}}

    with pytest.raises(Conflict):
        await writes.patch(
            client, Key("RelevanceDeployment", namespace, "x"), Patch(ObjectKey("ConfigMap", "one"), body)
        )


@pytest.fixture
def nowhere(kubeconfig: Path, tmp_path: Path) -> Path:
    text = kubeconfig.read_text()
    server = text.split('"server": "')[1].split('"')[0]
    written = tmp_path / "kubeconfig"
    written.write_text(text.replace(server, "https://127.0.0.1:1"))
    return written


async def test_a_server_that_is_down_is_unreachable(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(nowhere))

    async with KubeClient(connect) as client:
        with pytest.raises(Unreachable):
            await client.get(CONFIG_MAPS, "default", "x")
