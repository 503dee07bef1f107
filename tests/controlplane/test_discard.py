"""A deleted model and its bytes: the operator's Job, run here as its pod would, on a folder that stands for the claim."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cluster.faults import Crash, FaultyClient, Operator, crash_at
from cluster.fixtures import restricted_namespace
from cluster.operator_process import Api, OperatorProcess, until
from cluster.train_jobs import finish_job

from hack.cluster.kubectl import Kubectl
from lore_core.artifacts import ArtifactRef, open_store, publish
from lore_core.cli import main
from lore_operator.__main__ import PLANNERS
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import JOBS, MODELS, REVISIONS


@pytest.fixture
def bytes_of_llm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactRef:
    """An artifact on the claim `models`."""
    monkeypatch.setenv("LORE_PVC_ROOT", str(tmp_path / "claims"))
    (tmp_path / "made").mkdir()
    (tmp_path / "made/weights").write_text("weights")
    return publish(tmp_path / "made", ArtifactRef(uri="pvc://models/llm"), "model")


def model(ref: ArtifactRef, name: str = "llm", policy: str = "Delete") -> dict[str, Any]:
    spec = {"uri": ref.uri, "digest": ref.digest, "role": "Generative", "deletionPolicy": policy}
    return {"apiVersion": MODELS.api_version, "kind": "RelevanceModel", "metadata": {"name": name}, "spec": spec}


def there(ref: ArtifactRef) -> bool:
    return open_store(ref).exists()


async def run_pod(api: Api, job: dict[str, Any]) -> None:
    """What the pod of the Job does, and what the Job controller says then."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][0] == "lore"
    assert main(container["command"][1:]) == 0
    await finish_job(api, job["metadata"]["name"])


async def delete(api: Api, name: str = "llm") -> None:
    found = await api.get(MODELS, name)
    await api.client.delete(MODELS, api.namespace, name, uid=found["metadata"]["uid"])


async def the_job(api: Api) -> dict[str, Any]:
    (job,) = await until(lambda: api.items(JOBS), bool)
    return job


async def test_deleting_a_model_removes_its_bytes_and_leaves_nothing(
    api: Api, operator: OperatorProcess, bytes_of_llm: ArtifactRef
) -> None:
    await api.create(model(bytes_of_llm))
    await until(lambda: api.names(REVISIONS), bool)
    assert await api.names(JOBS) == []

    await delete(api)
    await run_pod(api, await the_job(api))

    assert not there(bytes_of_llm)
    await until(lambda: api.names(REVISIONS), lambda found: found == [])
    await until(lambda: api.names(JOBS), lambda found: found == [])


async def test_retain_is_the_default_of_the_schema_and_keeps_them(
    api: Api, operator: OperatorProcess, bytes_of_llm: ArtifactRef
) -> None:
    manifest = model(bytes_of_llm)
    del manifest["spec"]["deletionPolicy"]
    await api.create(manifest)
    assert (await api.get(MODELS, "llm"))["spec"]["deletionPolicy"] == "Retain"
    await api.create(model(ArtifactRef(uri="pvc://models/other", digest=bytes_of_llm.digest), "other"))
    await until(lambda: api.names(REVISIONS), bool)

    await delete(api)
    await delete(api, "other")

    job = await the_job(api)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert "pvc://models/other" in container["command"]
    assert there(bytes_of_llm)


async def test_an_operator_that_was_stopped_meanwhile_finds_what_is_to_go(
    api: Api, operator: OperatorProcess, bytes_of_llm: ArtifactRef
) -> None:
    await api.create(model(bytes_of_llm))
    await until(lambda: api.names(REVISIONS), bool)
    operator.kill()
    await delete(api)
    operator.start()

    await run_pod(api, await the_job(api))

    assert not there(bytes_of_llm)


async def test_bytes_that_another_model_has_stay_until_it_goes_and_then_its_policy_counts(
    api: Api, operator: OperatorProcess, bytes_of_llm: ArtifactRef
) -> None:
    for name, policy in (("llm", "Delete"), ("copy", "Delete"), ("kept", "Retain")):
        await api.create(model(bytes_of_llm, name, policy))
    await until(lambda: api.names(REVISIONS), lambda found: len(found) == 2)

    await delete(api)
    await until(lambda: api.names(REVISIONS), lambda found: len(found) == 1)
    await delete(api, "copy")
    await until(lambda: api.names(REVISIONS), lambda found: found == [])

    assert await api.names(JOBS) == []
    assert there(bytes_of_llm)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[FaultyClient]:
    async with FaultyClient() as found:
        yield found


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", range(2))
async def test_a_crash_between_the_writes_removes_the_bytes_once(
    api: Api, client: FaultyClient, bytes_of_llm: ArtifactRef, moment: Any, write: int
) -> None:
    key = Key("RelevanceModel", api.namespace, "llm")
    await api.create(model(bytes_of_llm))
    await Operator(client, api.namespace, PLANNERS).settle(key, client.journal)
    await delete(api)

    client.fault = crash_at(len(client.journal) + write, moment)
    for _ in range(2):
        life = Operator(client, api.namespace, PLANNERS)
        try:
            await life.settle(key, client.journal)
        except Crash:
            continue
        if await api.names(JOBS):
            await run_pod(api, await the_job(api))
    await Operator(client, api.namespace, PLANNERS).settle(key, client.journal)

    assert not there(bytes_of_llm)
    assert [line for line in client.created() if "Job" in line] == client.created()[-1:]
    await until(lambda: api.names(REVISIONS), lambda found: found == [])


async def test_a_namespace_with_such_models_goes_at_once_and_its_bytes_stay(
    api: Api, operator: OperatorProcess, bytes_of_llm: ArtifactRef, kubectl: Kubectl
) -> None:
    await api.create(model(bytes_of_llm))
    await until(lambda: api.names(REVISIONS), bool)

    kubectl("delete", "namespace", api.namespace, "--timeout=240s")
    kubectl.apply(restricted_namespace(api.namespace))

    assert there(bytes_of_llm)
    assert operator.stop() == 0
