"""From a Git repository to callers that are served: what a GitOps tool applies, what a failed gate stops, what a revert undoes.

Two namespaces of one cluster: staging, where models have their verdicts, and production, where the operator runs. Synced
is as a GitOps tool does it: server-side apply of a kustomization, and pruning of what Git no longer has (an ApplySet).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.lore_command import Run
from cluster.operator_process import Api, OperatorProcess, condition, until
from cluster.train_jobs import appeared, succeed, train_job
from controlplane.test_operator_serving import Cluster, cluster, deployment, digest, evaluation
from controlplane.test_signed_evidence import REQUIREMENT, attested, trusting
from unit.cli.objects import evaluation as judged
from unit.cli.objects import model as published
from unit.cli.objects import passed

from hack.cluster.kubectl import Kubectl
from lore_core.cli import EXIT_OK, EXIT_STALLED
from lore_operator.engine.resources import DEPLOYMENTS, EVALS, INFERENCE_SERVICES, MODELS, TRAIN_JOBS, WORKLOADS

__all__ = ["cluster", "trusting"]

pytestmark = pytest.mark.usefixtures("kserve_kinds")
SEARCH: dict[str, Any] = {
    "apiVersion": "lore-platform.io/v1alpha1",
    "kind": "RelevanceDeployment",
    "metadata": {"name": "search"},
    "spec": {
        "strata": {"uri": "pvc://lore/strata", "digest": digest("1")},
        "tiers": [{"stratum": "tail", "predictor": {"modelRef": {"name": "none-yet"}}}],
        "gate": {"requirements": [{"name": "quality"}]},
        "revisionHistoryLimit": 1,
    },
}
OVERLAY = "overlays/production"


class Repository:
    """A Git repository of a base and its production overlay, and what syncs it."""

    def __init__(self, root: Path, run: Run, kubectl: Kubectl, staging: str, production: str) -> None:
        self.root, self._run, self._kubectl = root, run, kubectl
        self._staging, self._production = staging, production

    def write(self, path: str, document: Any) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.safe_dump(document, sort_keys=False))

    def read(self, path: str) -> Any:
        return yaml.safe_load((self.root / path).read_text())

    def git(self, *words: str) -> str:
        done = self._run("git", *words, cwd=self.root)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def promote(self, model: str, *, judge: bool = True) -> tuple[int, str]:
        """`lore promote`, from staging into the overlay, and the commit of what it wrote; with an evaluation for production."""
        done = self._run(
            "lore", "promote", model, "--to", OVERLAY, "--tier", "tail", "-n", self._staging, cwd=self.root
        )
        if done.returncode == EXIT_OK:
            if judge:
                self.write(f"{OVERLAY}/judge-{model}.yaml", evaluation(model))
                self.resources(add=f"judge-{model}.yaml")
            self.commit(f"promote {model}")
        return done.returncode, done.stderr

    def resources(self, *, add: str = "", drop: str = "") -> None:
        """Edit the overlay's list of files."""
        path = f"{OVERLAY}/kustomization.yaml"
        document = self.read(path)
        document["resources"] = [*(name for name in document["resources"] if name != drop), *([add] if add else [])]
        self.write(path, document)

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
            OVERLAY,
            cwd=self.root,
        )
        assert done.returncode == 0, done.stderr

    def drift(self) -> str:
        """What a server-side diff finds between HEAD and the cluster."""
        done = self._run(
            "kubectl",
            "diff",
            "--server-side",
            "--field-manager=drift",
            f"--namespace={self._production}",
            "-k",
            OVERLAY,
            cwd=self.root,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout


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
def repository(tmp_path: Path, run: Run, kubectl: Kubectl, staging: str, namespace: str) -> Repository:
    """Production serves nothing yet: its tier names a model that nobody promoted."""
    root = tmp_path / "git"
    root.mkdir()
    found = Repository(root, run, kubectl, staging, namespace)
    found.write("base/kustomization.yaml", {"resources": ["search.yaml"]})
    found.write("base/search.yaml", SEARCH)
    found.write(f"{OVERLAY}/kustomization.yaml", {"resources": ["../../base", "train.yaml"]})
    found.write(f"{OVERLAY}/train.yaml", train_job("weekly"))
    found.git("init", "--quiet")
    found.git("config", "user.name", "t")
    found.git("config", "user.email", "t@example.com")
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
    assert repository.promote("first")[0] == EXIT_OK
    repository.sync()
    first = await roll_out(cluster, "first")

    versions = await api.versions()
    repository.sync()
    assert (repository.drift(), await api.versions()) == ("", versions), "a second sync writes nothing"

    status, said = repository.promote("worse")
    assert (status, "judge-worse: its verdict is Failed" in said) == (EXIT_STALLED, True)
    assert repository.git("status", "--porcelain") == ""

    assert repository.promote("better")[0] == EXIT_OK
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

    assert repository.promote("best")[0] == EXIT_OK
    repository.sync()
    assert await roll_out(cluster, "best") != first
    await until(lambda: api.names(WORKLOADS), lambda found: len(found) == 2)  # the first predictor is gone, whole
    repository.git("revert", "--no-edit", "HEAD")
    repository.sync()
    await until(lambda: api.names(INFERENCE_SERVICES), lambda found: len(found) == 2)
    await cluster.bring_up_predictors()
    assert await serving(api, lambda stable: stable == first)
    assert repository.drift() == ""


async def test_pruning_takes_what_git_dropped_and_leaves_what_the_operator_published(
    repository: Repository, api: Api, operator: OperatorProcess
) -> None:
    repository.sync()
    await until(lambda: api.names(DEPLOYMENTS), lambda found: found == ["search"])
    await appeared(api, "weekly-sft-a1")
    await succeed(api, "weekly-sft-a1")
    await until(lambda: api.names(MODELS), lambda found: found == ["weekly-llm"])

    repository.resources(drop="train.yaml")
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

    assert repository.promote("first", judge=False)[0] == EXIT_OK
    (evidence,) = repository.read(f"{OVERLAY}/promoted/model-first.yaml")["spec"]["evidence"]
    assert evidence == {"name": "judge-first", "attestation": signed}
    repository.sync()
    await until(lambda: api.names(INFERENCE_SERVICES), bool)
    await cluster.bring_up_predictors()
    await cluster.router_appears()
    first = await serving(api, bool)
    assert [item["accepted"] for item in (await api.get(MODELS, "first"))["status"]["evidence"]] == [True]

    assert repository.promote("best", judge=False)[0] == EXIT_OK
    repository.sync()
    unproven = await until(lambda: deployment(api), lambda seen: condition(seen, "Stalled").get("status") == "True")
    assert (condition(unproven, "Stalled")["reason"], unproven["status"]["stable"]) == ("GateBlocked", first)
    assert await api.names(EVALS) == []
