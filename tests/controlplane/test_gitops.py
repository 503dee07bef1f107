"""From a Git repository to callers that are served: what a GitOps tool applies, what a failed gate stops, what a revert undoes.

Two namespaces of one cluster: staging, where models have their verdicts, and production, where the operator runs. Synced
is as a GitOps tool does it: server-side apply of a kustomization, and pruning of what Git no longer has (an ApplySet).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.git_repository import PRODUCTION, SEARCH, GitRepository
from cluster.lore_command import Run
from cluster.operator_process import Api, OperatorProcess, condition, until
from cluster.train_jobs import appeared, succeed, train_job
from controlplane.test_operator_serving import Cluster, cluster, deployment, evaluation
from controlplane.test_signed_evidence import REQUIREMENT, attested, trusting
from unit.cli.objects import evaluation as judged
from unit.cli.objects import model as published
from unit.cli.objects import passed

from hack.cluster.kubectl import Kubectl
from lore_core.cli import EXIT_OK, EXIT_STALLED
from lore_operator.engine.resources import DEPLOYMENTS, EVALS, INFERENCE_SERVICES, MODELS, TRAIN_JOBS, WORKLOADS

__all__ = ["cluster", "trusting"]

pytestmark = pytest.mark.usefixtures("kserve_kinds")


class Repository(GitRepository):
    """And what syncs it, where no GitOps tool runs."""

    def __init__(self, root: Path, run: Run, staging: str, production: str) -> None:
        super().__init__(root, run, staging)
        self._production = production

    def sync(self) -> None:
        """Apply what HEAD has, prune what it no longer has."""
        assert self.git("status", "--porcelain") == "", "only what is committed is synced"
        applyset = ("--prune", "--applyset=configmaps/production")
        done = self._run(
            "env",
            "KUBECTL_APPLYSET=true",
            "kubectl",
            "apply",
            "--server-side",
            *applyset,
            f"--namespace={self._production}",
            "-k",
            PRODUCTION,
            cwd=self.root,
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def staging(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """The namespace where models were trained and judged: three passed, one did not."""
    name = f"{namespace}-s"
    kubectl("create", "namespace", name)
    for model, letter, verdict in (
        ("first", "a", "Passed"),
        ("better", "b", "Passed"),
        ("best", "d", "Passed"),
        ("worse", "c", "Failed"),
    ):
        item = passed(judged(f"judge-{model}", model), letter, verdict=verdict)
        for one in (published(model, letter), item):
            kubectl("create", "--filename=-", f"--namespace={name}", stdin=json.dumps(one))
        told = json.dumps({"status": item["status"]})
        kubectl("patch", f"reval/judge-{model}", "-n", name, "--subresource=status", "--type=merge", f"--patch={told}")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def repository(tmp_path: Path, run: Run, staging: str, namespace: str) -> Repository:
    """Production serves nothing yet: its tier names a model that nobody promoted."""
    found = Repository(tmp_path / "git", run, staging, namespace)
    found.write("base/kustomization.yaml", {"resources": ["search.yaml"]})
    found.write("base/search.yaml", SEARCH)
    found.write(f"{PRODUCTION}/kustomization.yaml", {"resources": ["../../base"]})
    found.add(PRODUCTION, "train.yaml", train_job("weekly"))
    found.commit("base")
    return found


async def roll_out(cluster: Cluster, model: str) -> str:
    """Everybody beside the operator does their part; the revision that serves then."""
    before = (await deployment(cluster.api)).get("status", {}).get("stable")
    await cluster.end_evaluation(model)
    count = len(await cluster.api.names(INFERENCE_SERVICES))
    await until(lambda: cluster.api.names(INFERENCE_SERVICES), lambda found: len(found) > count)
    await cluster.bring_up_predictors()
    if before is None:
        await cluster.router_appears()
    return await serving(cluster.api, lambda stable: stable != before)


async def serving(api: Api, wanted: Any) -> str:
    found = await until(
        lambda: deployment(api),
        lambda seen: condition(seen, "Ready").get("status") == "True" and wanted(seen["status"]["stable"]),
    )
    return str(found["status"]["stable"])


async def test_a_commit_rolls_out_a_failed_gate_stops_the_wave_and_a_revert_rolls_back(
    repository: Repository, api: Api, operator: OperatorProcess, cluster: Cluster, kubectl: Kubectl
) -> None:
    assert repository.promote("first", evaluation("first"))[0] == EXIT_OK
    repository.sync()
    first = await roll_out(cluster, "first")

    versions = await api.versions()
    repository.sync()
    assert (repository.drift(PRODUCTION, api.namespace), await api.versions()) == ("", versions), (
        "a second sync writes nothing"
    )

    status, said = repository.promote("worse", evaluation("worse"))
    assert (status, "judge-worse: its verdict is Failed" in said) == (EXIT_STALLED, True)
    assert repository.git("status", "--porcelain") == ""

    assert repository.promote("better", evaluation("better"))[0] == EXIT_OK
    repository.sync()
    await cluster.end_evaluation("better", "Failed")
    stopped = await until(
        lambda: deployment(api), lambda seen: "floor" in condition(seen, "Stalled").get("message", "")
    )
    assert condition(stopped, "Stalled")["reason"] == "GateBlocked"
    assert condition(stopped, "Ready")["status"] == "False", "what a wave waits for"
    assert (stopped["status"]["stable"], condition(stopped, "Available")["status"]) == (first, "True")
    repository.git("revert", "--no-edit", "HEAD")
    repository.sync()
    assert await serving(api, lambda stable: stable == first)

    predictor = {"modelRef": {"name": "none-yet"}, "replicas": {"min": 1, "max": 2}}
    more = {"router": {"replicas": 2}, "tiers": [{"stratum": "tail", "predictor": predictor}]}
    repository.write("base/search.yaml", SEARCH | {"spec": SEARCH["spec"] | more})
    repository.commit("two routers, predictors that may grow")
    repository.sync()
    await until(lambda: api.get(WORKLOADS, "search-router"), lambda found: found["spec"]["replicas"] == 2)

    assert repository.promote("best", evaluation("best"))[0] == EXIT_OK
    repository.sync()
    assert await roll_out(cluster, "best") != first
    await until(lambda: api.names(WORKLOADS), lambda found: len(found) == 2)  # the first predictor is gone, whole
    repository.git("revert", "--no-edit", "HEAD")
    repository.sync()
    await until(lambda: api.names(INFERENCE_SERVICES), lambda found: len(found) == 2)
    await cluster.bring_up_predictors()
    assert await serving(api, lambda stable: stable == first)
    assert repository.drift(PRODUCTION, api.namespace) == ""


async def test_pruning_takes_what_git_dropped_and_leaves_what_the_operator_published(
    repository: Repository, api: Api, operator: OperatorProcess
) -> None:
    repository.sync()
    await until(lambda: api.names(DEPLOYMENTS), lambda found: found == ["search"])
    await appeared(api, "weekly-sft-a1")
    await succeed(api, "weekly-sft-a1")
    await until(lambda: api.names(MODELS), lambda found: found == ["weekly-llm"])

    repository.drop(PRODUCTION, "train.yaml")
    repository.commit("no training any more")
    repository.sync()

    await until(lambda: api.names(TRAIN_JOBS), lambda found: found == [])
    assert await api.names(MODELS) == ["weekly-llm"]


async def test_a_signed_verdict_travels_with_the_promotion_and_nothing_is_judged_again(
    repository: Repository, api: Api, trusting: OperatorProcess, cluster: Cluster, kubectl: Kubectl, staging: str
) -> None:
    signed = attested()
    status = json.dumps({"status": {"attestation": signed}})
    kubectl("patch", "reval/judge-first", "-n", staging, "--subresource=status", "--type=merge", f"--patch={status}")
    gate = {"gate": {"requirements": [REQUIREMENT]}}
    repository.write("base/search.yaml", SEARCH | {"spec": SEARCH["spec"] | gate})
    repository.commit("a verdict on this benchmark under these gates, whoever reached it")

    assert repository.promote("first")[0] == EXIT_OK
    (evidence,) = repository.read(f"{PRODUCTION}/promoted/model-first.yaml")["spec"]["evidence"]
    assert evidence == {"name": "judge-first", "attestation": signed}
    repository.sync()
    await until(lambda: api.names(INFERENCE_SERVICES), bool)
    await cluster.bring_up_predictors()
    await cluster.router_appears()
    first = await serving(api, bool)
    assert [item["accepted"] for item in (await api.get(MODELS, "first"))["status"]["evidence"]] == [True]

    assert repository.promote("best")[0] == EXIT_OK
    repository.sync()
    unproven = await until(lambda: deployment(api), lambda seen: condition(seen, "Stalled").get("status") == "True")
    assert (condition(unproven, "Stalled")["reason"], unproven["status"]["stable"]) == ("GateBlocked", first)
    assert await api.names(EVALS) == []
