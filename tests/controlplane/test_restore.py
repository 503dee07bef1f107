"""A drill: the resources and the artifacts of a lost cluster, brought back into an empty one. docs/how-to/back-up.md

Nobody runs pods here: the test runs `lore train` in their place, on folders that stand for the claims.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from cluster.faults import FaultyClient, Operator
from cluster.fixtures import REPOSITORY, definitions, restricted_namespace
from cluster.operator_process import Api, condition
from cluster.train_jobs import report_success, succeed, train_job
from controlplane.test_missing import DIRECT

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import Kubectl
from lore_core.artifacts import publish
from lore_core.cli import main
from lore_core.jobs import TrainConfig
from lore_operator.__main__ import PLANNERS
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import CONFIG_MAPS, INFERENCE_SERVICES, MODELS, REVISIONS, TRAIN_JOBS

pytestmark = pytest.mark.usefixtures("kserve_kinds")
JOB = train_job()
TIER = {"stratum": "tail", "predictor": {"modelRef": {"name": "demo-llm"}}}
SERVING = {**DIRECT, "spec": {**DIRECT["spec"], "tiers": [TIER]}}
PAGE = (REPOSITORY / "docs/how-to/back-up.md").read_text(encoding="utf-8")
GIVEN_ANEW = re.findall(r'"(\w+)"', PAGE[PAGE.index(".metadata[") : PAGE.index("> shop.json")])
"""Metadata that the page's command leaves out."""


async def config_of(api: Api, job: str) -> str:
    return str((await api.get(CONFIG_MAPS, job))["data"]["config.json"])


async def trained(api: Api, job: str, folder: Path) -> None:
    """A pod that makes a model: the artifact in the workspace, and its digest in the report."""
    output = TrainConfig.model_validate_json(await config_of(api, job)).output
    await succeed(api, job, publish(learnt(folder), output, "model").digest or "")


def learnt(folder: Path) -> Path:
    folder.mkdir()
    (folder / "weights").write_text(folder.name)
    return folder


async def asked(api: Api, job: str, folder: Path) -> tuple[int, str]:
    """Exit status and report of the real program, given the config that its pod would have."""
    config, report = folder / "config.json", folder / "report.json"
    config.write_text(await config_of(api, job))
    return main(["train", "--config", str(config), "--report", str(report)]), report.read_text()


async def settle(client: FaultyClient, namespace: str) -> None:
    operator = Operator(client, namespace, PLANNERS)
    for item in (JOB, SERVING):
        await operator.settle(Key(item["kind"], namespace, item["metadata"]["name"]), client.journal)


async def made(api: Api) -> dict[str, Any]:
    """What callers, gates and people rely on."""
    models = {item["metadata"]["name"]: item["spec"] for item in await api.items(MODELS)}
    return {"models": models, "revisions": await api.names(REVISIONS), "served": await api.names(INFERENCE_SERVICES)}


def backup(kubectl: Kubectl, namespace: str) -> list[dict[str, Any]]:
    """Every resource of the platform, as the page's command saves it."""
    assert "uid" in GIVEN_ANEW
    found = kubectl.get("lore", "-n", namespace)["items"]
    for item in found:
        item.pop("status", None)
        item["metadata"] = {name: value for name, value in item["metadata"].items() if name not in GIVEN_ANEW}
    return [dict(item) for item in found]


async def test_resources_and_artifacts_back_in_an_empty_cluster_train_nothing_and_serve_the_same(
    api: Api, kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims, kserve = (
        tmp_path / "claims",
        tools.manifests("kserve") / "crd/full/serving.kserve.io_inferenceservices.yaml",
    )
    monkeypatch.setenv("LORE_PVC_ROOT", str(claims))
    for item in (JOB, SERVING):
        await api.create(item)
    async with FaultyClient() as client:
        for stage in ("sft", "student", "serving"):
            await settle(client, api.namespace)
            if stage != "serving":
                await trained(api, f"demo-{stage}-a1", tmp_path / stage)
    before, saved = await made(api), backup(kubectl, api.namespace)
    shutil.move(claims, tmp_path / "saved")

    with ControlPlane.temporary([*definitions(), kserve]) as empty:
        monkeypatch.setenv("KUBECONFIG", str(empty.kubeconfig))
        empty.kubectl.apply(restricted_namespace(api.namespace))
        empty.kubectl("create", "-n", api.namespace, "-f", "-", stdin=as_list(saved))
        async with KubeClient(connect, manager="a-person") as person, FaultyClient() as client:
            there = Api(person, api.namespace)
            await settle(client, api.namespace)
            status, report = await asked(there, "demo-sft-a1", tmp_path)
            assert (status, "reused" in report) == (1, False), "without its artifacts it would train again"
            shutil.move(tmp_path / "saved", claims)
            for stage in ("sft", "student"):
                await settle(client, api.namespace)
                status, report = await asked(there, f"demo-{stage}-a1", tmp_path)
                assert (status, json.loads(report)["result"]["reused"]) == (0, True)
                await report_success(there, f"demo-{stage}-a1", report)
            await settle(client, api.namespace)

            found = await there.get(TRAIN_JOBS, "demo")
            assert condition(found, "Complete")["status"] == "True"
            assert [stage["reused"] for stage in found["status"]["stages"]] == [True, True]
            assert await made(there) == before
            assert not [line for line in client.created() if line.startswith("create RelevanceModel")]


def as_list(items: list[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
