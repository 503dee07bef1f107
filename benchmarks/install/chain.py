"""A namespace full of chains: train job → model → evaluation and deployment, as the operator leaves them."""

import asyncio
import os
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.operator import ours
from hack.cluster.controlplane import ControlPlane
from lore_operator.api.v1alpha1.group import API_VERSION
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.resources import KINDS
from lore_operator.plan.conditions import Finding, State, conditions

NAMESPACE: Final = "chains"
_AT_ONCE: Final = 16
_DIGEST: Final = "sha256:" + "a" * 64
_ARTIFACT: Final = {"uri": "pvc://workspace/artifact", "digest": _DIGEST}
Manifest = dict[str, Any]


def create(plane: ControlPlane, objects: int) -> None:
    """So many objects, with their status; no operator may run."""
    plane.kubectl("create", "namespace", NAMESPACE)
    os.environ["KUBECONFIG"] = str(plane.kubeconfig)
    asyncio.run(_create([item for index in range(objects // len(KINDS)) for item in _chain(index)]))


async def _create(items: list[Manifest]) -> None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(client: KubeClient, item: Manifest) -> None:
        async with slots:
            made = await client.create(item, KINDS[item["kind"]])
            status = {"status": _status(made["metadata"]["generation"])}
            await client.merge(KINDS[item["kind"]], NAMESPACE, item["metadata"]["name"], status, "status")

    async with KubeClient(connect, manager="benchmark") as client:
        await asyncio.gather(*(one(client, item) for item in items))


def _status(generation: int) -> Manifest:
    told = conditions(Finding(State.COMPLETE, "Complete", "all of it is done"), generation, [], datetime.now(UTC))
    return {"observedGeneration": generation, "conditions": told}


def _chain(index: int) -> list[Manifest]:
    """One object of each kind."""
    job = ours.train_job(NAMESPACE, index)
    model = job["spec"]["stages"][0]["publish"]["as"]
    gates = [{"name": "floor", "metric": "Accuracy2", "min": "0.5"}]
    return [
        job,
        _item("RelevanceModel", model, {**_ARTIFACT, "role": "Generative"}),
        _item("RelevanceEval", model, {
            "modelRef": {"name": model}, "benchmark": _ARTIFACT, "ruleSet": _ARTIFACT,
            "workspace": {"uri": "pvc://workspace/runs"}, "gates": gates,
        }),
        _item("RelevanceDeployment", model, {
            "strata": _ARTIFACT, "tiers": [{"stratum": "tail", "predictor": {"modelRef": {"name": model}}}],
            "gate": {"requirements": [{"name": "verdict"}]},
        }),
    ]  # fmt: skip


def _item(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
