"""Scheduled strata builds on a real control plane. The pod's own work is run here, and reports with the pod's own account."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster.lore_command import Run
from cluster.operator_process import Api, OperatorProcess, condition, until, with_token
from cluster.train_jobs import finish_job, report_made
from controlplane.test_operator_serving import MODEL, SERVING, Cluster, cluster, deployment

from hack.cluster.kubectl import Kubectl
from lore_core.artifacts import ArtifactRef, publish, verify
from lore_core.jobs import REPORT_KEY, StrataBuildConfig
from lore_core.jobs.reporter import FileSink, Reporter
from lore_core.strata import StrataSnapshot
from lore_core.strata.build import Recipe, build
from lore_core.strata.propose import run_proposal
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.resources import CONFIG_MAPS, DEPLOYMENTS, INFERENCE_SERVICES, JOBS

__all__ = ["cluster"]

pytestmark = pytest.mark.usefixtures("kserve_kinds", "entrance_kinds")

BEFORE = {"phone": 50, "shoe": 30, "lamp": 15, "odd thing": 5}
ALIKE = {"phone": 52, "shoe": 30, "lamp": 14, "odd thing": 4}
"""Every query in the stratum that it was in."""
TURNED = {"phone": 20, "shoe": 60, "lamp": 15, "odd thing": 5}
"""Another query is the head."""


@dataclass(frozen=True)
class Builds:
    """The workspace and the log, and what a pod that builds a snapshot does."""

    api: Api
    kubectl: Kubectl
    folder: Path

    def write_log(self, counts: dict[str, int]) -> Path:
        """The query log as it is from now on."""
        path = self.folder / "pvc/lore/logs/today.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({"query": query, "count": n}) + "\n" for query, n in counts.items()))
        return path

    def live(self) -> dict[str, str]:
        """The snapshot that a person built and that the spec names."""
        build([self.write_log(BEFORE)], Recipe(), self.folder / "live", self.folder / "work")
        made = publish(self.folder / "live", ArtifactRef(uri="pvc://lore/strata"), "strata")
        assert made.digest is not None
        return {"uri": made.uri, "digest": made.digest}

    async def run(self, job: str) -> StrataBuildConfig:
        """The pod of a Job builds, reports and ends; what it was told to do."""
        await until(lambda: self.api.names(JOBS), lambda found: job in found)
        await report_made(self.api, job)
        config = StrataBuildConfig.model_validate_json((await self.api.get(CONFIG_MAPS, job))["data"]["config.json"])
        report = self.folder / f"{job}.json"
        await asyncio.to_thread(run_proposal, config, Reporter(FileSink(report)))
        account = (await self.api.get(JOBS, job))["spec"]["template"]["spec"]["serviceAccountName"]
        async with self._logged_in(account) as pod:
            told = {"data": {REPORT_KEY: report.read_text()}}
            await pod.merge(CONFIG_MAPS, self.api.namespace, f"{job}-report", told)
        await finish_job(self.api, job)
        return config

    @contextlib.asynccontextmanager
    async def _logged_in(self, account: str) -> AsyncIterator[KubeClient]:
        """A client with a token of an account, as its pods have one."""
        token = self.kubectl("create", "token", account, f"--namespace={self.api.namespace}").strip()
        kubeconfig = with_token(Path(self.kubectl.kubeconfig), token, self.folder / f"{account}.kubeconfig")
        with pytest.MonkeyPatch.context() as here:
            here.setenv("KUBECONFIG", str(kubeconfig))
            async with KubeClient(connect, manager="pod") as client:
                yield client


@pytest.fixture
def builds(api: Api, kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builds:
    monkeypatch.setenv("LORE_PVC_ROOT", str(tmp_path / "pvc"))
    return Builds(api, kubectl, tmp_path)


async def served(cluster: Cluster, builds: Builds, **schedule: Any) -> dict[str, str]:
    """A deployment that serves and builds snapshots; the one that it begins with."""
    live = builds.live()
    spec = {**SERVING["spec"], "tiers": [SERVING["spec"]["tiers"][1]]}
    spec["strata"] = {**live, "build": {"log": {"uri": "pvc://lore/logs"}, **schedule}}
    await cluster.api.create(MODEL)
    await cluster.judge("llm")
    await cluster.api.create({**SERVING, "spec": spec})
    await until(lambda: cluster.api.names(INFERENCE_SERVICES), bool)
    await cluster.bring_up_predictors()
    await cluster.router_appears()
    await serving(cluster, live["digest"])
    return live


async def serving(cluster: Cluster, digest: str) -> None:
    """Until routers are told to take this snapshot, and it alone."""

    def alone(config: Any) -> bool:
        return config is not None and [item.strata.digest for item in config.compositions] == [digest]

    await until(cluster.config, alone)


async def told(api: Api, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The strata in the deployment's status, once they are so."""

    async def strata() -> dict[str, Any]:
        return dict((await deployment(api)).get("status", {}).get("strata") or {})

    return await until(strata, holds)


def proposed(strata: dict[str, Any]) -> str:
    return str((strata.get("proposal") or {}).get("verdict"))


GUARDS = {"minRequests": 100, "maxSharePoints": 10, "maxHeadChurnPercent": 20}


async def test_a_build_runs_on_schedule_and_within_its_guards_its_snapshot_takes_over_by_itself(
    api: Api, operator: OperatorProcess, cluster: Cluster, builds: Builds, tmp_path: Path
) -> None:
    live = await served(cluster, builds, every="1m", guards=GUARDS)
    builds.write_log(ALIKE)

    first = await builds.run("search-strata-a1")

    assert first.live.digest == live["digest"]
    found = await told(api, lambda strata: proposed(strata) == "Accepted")
    await serving(cluster, found["result"]["digest"])
    verify(ArtifactRef(**found["result"]), tmp_path / "fetched")
    assert StrataSnapshot.open(tmp_path / "fetched").stratum("phone") == "head"
    assert found["nextBuild"] > found["lastBuild"]
    assert (await deployment(api))["spec"]["strata"]["digest"] == live["digest"]

    second = await builds.run("search-strata-a2")
    assert second.live.digest == found["result"]["digest"]


async def test_a_proposal_beyond_a_guard_is_refused_with_the_reason_until_a_person_approves_it(
    api: Api, operator: OperatorProcess, cluster: Cluster, builds: Builds
) -> None:
    live = await served(cluster, builds, guards=GUARDS)
    builds.write_log(TURNED)

    await builds.run("search-strata-a1")

    found = await told(api, lambda strata: proposed(strata) == "AwaitingApproval")
    waits = await until(lambda: deployment(api), lambda item: bool(condition(item, "StrataProposed")))
    words = condition(waits, "StrataProposed")["message"]
    assert "churn of the head 100.0 % (guards.maxHeadChurnPercent 20)" in words
    assert (condition(waits, "Ready")["status"], found["result"]["digest"]) == ("True", live["digest"])
    await serving(cluster, live["digest"])

    wanted = found["proposal"]["result"]["digest"]
    assert f"set spec.strata.build.approve to {wanted}" in words
    await api.patch(DEPLOYMENTS, "search", {"spec": {"strata": {"build": {"approve": wanted}}}})
    await serving(cluster, wanted)
    after = await until(lambda: deployment(api), lambda item: not condition(item, "StrataProposed"))
    assert after["status"]["strata"]["result"]["digest"] == wanted


async def test_gc_lets_a_snapshot_go_that_neither_the_deployment_nor_its_history_names(
    api: Api, operator: OperatorProcess, cluster: Cluster, builds: Builds, run: Run
) -> None:
    await served(cluster, builds, guards=GUARDS)
    builds.write_log(ALIKE)
    await builds.run("search-strata-a1")
    found = await told(api, lambda strata: proposed(strata) == "Accepted")
    await serving(cluster, found["result"]["digest"])
    build([builds.write_log({"sofa": 100})], Recipe(), builds.folder / "other", builds.folder / "work-2")
    forgotten = publish(
        builds.folder / "other", ArtifactRef(uri="pvc://lore/runs/strata/" + "0123456789" * 2), "strata"
    )
    workspace = builds.folder / "pvc/lore/runs"
    for file in workspace.rglob("*"):
        os.utime(file, (0, 0))

    shown = run("lore", "gc", "pvc://lore/runs")
    assert shown.returncode == 0, shown.stderr
    assert "1 of 2 go" in shown.stdout
    assert len(list(workspace.glob("strata/*"))) == 2

    deleted = run("lore", "gc", "pvc://lore/runs", "--delete")
    assert deleted.returncode == 0, deleted.stderr
    kept = [f"pvc://lore/runs/strata/{path.name}" for path in workspace.glob("strata/*")]
    assert kept == [found["result"]["uri"]]
    assert forgotten.uri not in kept
