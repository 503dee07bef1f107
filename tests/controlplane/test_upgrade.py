"""A new operator, whose builders and default images are others, beside what the old one has running."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cluster.faults import SETTINGS, FaultyClient, Operator
from cluster.operator_process import Api
from cluster.train_jobs import MADE, succeed, train_job
from controlplane.test_missing import DIRECT
from controlplane.test_operator_serving import MODEL, Cluster, evaluation

from lore_operator.__main__ import PLANNERS
from lore_operator.children import inference_service, pod, router
from lore_operator.children.settings import Images
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import JOBS, TRAIN_JOBS

NEWER = replace(SETTINGS, images=Images("trainer:next", "server:next", "router:next"), version="next")
MARK = {"example.invalid/builder": "another"}

pytestmark = pytest.mark.usefixtures("kserve_kinds")


@pytest.fixture
def other_builders(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, every pod that is rendered bears a mark."""

    def change(module: Any) -> None:
        before = module.merged

        def merged(template: dict[str, Any], *rest: Any) -> Any:
            found = before(template, *rest)
            found["metadata"]["annotations"] = {**found["metadata"].get("annotations", {}), **MARK}
            return found

        monkeypatch.setattr(module, "merged", merged)

    return lambda: [change(module) for module in (pod, router, inference_service)] and None


async def create(api: Api, *resources: dict[str, Any]) -> list[Key]:
    for resource in resources:
        await api.create(resource)
    return [Key(item["kind"], api.namespace, item["metadata"]["name"]) for item in resources]


async def settle(client: FaultyClient, settings: Any, keys: list[Key]) -> None:
    operator = Operator(client, keys[0].namespace, PLANNERS, settings)
    for key in keys:
        await operator.settle(key, client.journal)


async def test_an_upgrade_writes_nothing_to_what_runs(api: Api, other_builders: Callable[[], None]) -> None:
    keys = await create(api, MODEL, train_job(nodes={"count": 2}), evaluation("llm"), DIRECT)
    async with FaultyClient() as old:
        await settle(old, SETTINGS, keys)
        await Cluster(api, 0).bring_up_predictors()
        await settle(old, SETTINGS, keys)
    running = [line.split()[1] for line in old.created()]
    assert [running.count(kind) for kind in ("Job", "InferenceService", "Deployment")] == [2, 1, 1]

    other_builders()
    async with FaultyClient() as new:
        await settle(new, NEWER, keys)
        assert new.journal == []
        await settle(new, NEWER, await create(api, train_job("later")))

    later = (await api.get(JOBS, "later-sft-a1"))["spec"]["template"]
    assert later["metadata"]["annotations"].items() >= MARK.items(), "the builders are others, or this proves nothing"
    assert later["spec"]["containers"][0]["image"] == "trainer:next"


async def test_a_run_goes_on_with_the_images_that_it_began_with(api: Api, other_builders: Callable[[], None]) -> None:
    keys = await create(api, train_job())
    async with FaultyClient() as old:
        await settle(old, SETTINGS, keys)

    other_builders()
    await succeed(api, "demo-sft-a1", MADE)
    async with FaultyClient() as new:
        await settle(new, NEWER, keys)

    (container,) = (await api.get(JOBS, "demo-student-a1"))["spec"]["template"]["spec"]["containers"]
    assert container["image"] == SETTINGS.images.trainer
    assert (await api.get(TRAIN_JOBS, "demo"))["status"]["renderedBy"] == "next"
