"""`lore` against a real API server: the chain, the reasons, and a promotion that Git carries from staging to production."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.lore_command import Run
from unit.cli.objects import deployment, digest, evaluation, model, passed, stands, train_job

from hack.cluster import ports
from hack.cluster.kubectl import Kubectl
from lore_core.cli import EXIT_FAILED, EXIT_OK, EXIT_STALLED
from lore_operator.plan.conditions import State

BLOCKED = "tier tail: model lore-q has no passed evaluation for v"


@pytest.fixture
def staging(put: Callable[..., None]) -> None:
    """A train job, its model, a verdict, and a deployment that waits for another one."""
    put(
        stands(train_job(sft="lore-q"), State.COMPLETE, "Complete"),
        stands(model("lore-q"), State.REGISTERED, "Registered"),
        passed(evaluation("judge", "lore-q")),
        stands(deployment(tail="lore-q"), State.GATE_BLOCKED, "GateBlocked", BLOCKED),
    )


def test_the_status_of_a_namespace_is_its_chain(staging: None, run: Run, namespace: str) -> None:
    said = run("lore", "status", "-n", namespace)

    assert said.returncode == EXIT_STALLED, said.stderr
    drawn = [re.split(r"(?<=\S) {2,}", line)[0] for line in said.stdout.splitlines()]
    assert drawn == [
        "OBJECT",
        "RelevanceTrainJob/train",
        "└─ RelevanceModel/lore-q (stage sft)",
        "   ├─ RelevanceEval/judge",
        "   └─ RelevanceDeployment/search (tier tail)",
    ]
    assert BLOCKED in said.stdout
    plain = json.loads(run("kubectl", "lore", "status", "-n", namespace, "-o", "json").stdout)
    assert plain[0]["children"][0]["children"][1]["reason"] == "GateBlocked"
    assert yaml.safe_load(run("lore", "status", "-n", namespace, "-o", "yaml").stdout) == plain


def test_why_says_what_to_do(staging: None, run: Run, namespace: str) -> None:
    said = run("lore", "why", "rdep/search", "-n", namespace)

    assert said.returncode == EXIT_STALLED
    assert said.stdout.startswith("RelevanceDeployment/search is Stalled: GateBlocked")
    assert f"It says: {BLOCKED}" in said.stdout
    assert "What to do: " in said.stdout
    assert "RelevanceEval/judge: Ready Passed" in said.stdout


def test_what_cannot_be_read_is_said(run: Run, namespace: str) -> None:
    assert run("lore", "status", "-n", namespace).stdout == "nothing of the platform is in this namespace\n"
    absent = run("lore", "why", "rdep/absent", "-n", namespace)
    assert (absent.returncode, "not found" in absent.stderr) == (EXIT_FAILED, True)
    unknown = run("lore", "status", "-n", namespace, "--context=nowhere")
    assert (unknown.returncode, unknown.stderr) == (EXIT_FAILED, 'lore status: context "nowhere" does not exist\n')


def test_a_cluster_that_does_not_answer_is_told_without_the_clients_own_log(run: Run, tmp_path: Path) -> None:
    with ports.claim(1) as (port,):
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": ""}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context]}
        (tmp_path / "silent").write_text(yaml.safe_dump(config | {"current-context": "c"}))
        said = run("env", f"KUBECONFIG={tmp_path / 'silent'}", "lore", "status")

    assert said.returncode == EXIT_FAILED
    assert said.stderr.splitlines() == [
        f"lore status: The connection to the server 127.0.0.1:{port} was refused - did you specify the right host or port?",
        "KUBECONFIG or --context names the cluster to ask",
    ]


@pytest.fixture
def repository(tmp_path: Path, run: Run) -> Path:
    """A Git repository with a base and a production overlay."""
    root = tmp_path / "git"
    for folder, document in {
        "base": {"resources": ["search.yaml"]},
        "overlays/production": {"resources": ["../../base"]},
    }.items():
        (root / folder).mkdir(parents=True)
        (root / folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    served = deployment(torso="student", tail="first")
    served["spec"]["gate"] = {"mode": "Disabled"}
    del served["metadata"]["generation"]
    (root / "base/search.yaml").write_text(yaml.safe_dump(served))
    for words in (("init", "--quiet"), ("config", "user.name", "t"), ("config", "user.email", "t@example.com")):
        assert run("git", *words, cwd=root).returncode == 0
    commit(run, root, "base")
    return root


def commit(run: Run, root: Path, message: str) -> None:
    assert run("git", "add", "--all", cwd=root).returncode == 0
    assert run("git", "commit", "--quiet", "--message", message, cwd=root).returncode == 0


@pytest.fixture
def production(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    name = f"{namespace}-p"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_a_promotion_goes_through_git_and_back(
    staging: None, run: Run, repository: Path, namespace: str, production: str, kubectl: Kubectl
) -> None:
    def sync() -> str:
        """What a GitOps tool does: the overlay as it is in Git, server-side, with pruning left to it."""
        overlay = str(repository / "overlays/production")
        return kubectl("apply", "--server-side", f"--namespace={production}", "-k", overlay)

    def tail() -> dict[str, Any]:
        tiers = kubectl.get("relevancedeployment", "search", "-n", production)["spec"]["tiers"]
        return next(tier["predictor"]["modelRef"] for tier in tiers if tier["stratum"] == "tail")

    promote = ("lore", "promote", "lore-q", "--to", "overlays/production", "--tier", "tail", "-n", namespace)
    sync()
    said = run(*promote, cwd=repository)
    assert (said.returncode, said.stderr) == (EXIT_OK, "")
    commit(run, repository, "promote lore-q")
    sync()
    assert tail() == {"name": "lore-q", "digest": digest("a")}
    found = kubectl.get("relevancemodel", "lore-q", "-n", production)
    assert found["spec"]["digest"] == digest("a")
    assert json.loads(found["metadata"]["annotations"]["lore-platform.io/evidence"])[0]["eval"] == "judge"

    version = kubectl.get("relevancedeployment", "search", "-n", production)["metadata"]["resourceVersion"]
    sync()
    assert kubectl.get("relevancedeployment", "search", "-n", production)["metadata"]["resourceVersion"] == version
    assert "nothing written" in run(*promote, cwd=repository).stdout
    assert run("git", "status", "--porcelain", cwd=repository).stdout == ""

    assert run("git", "revert", "--no-edit", "HEAD", cwd=repository).returncode == 0
    sync()
    assert tail() == {"name": "first"}


def test_a_model_without_a_verdict_is_not_promoted(
    put: Callable[..., None], run: Run, repository: Path, namespace: str
) -> None:
    put(
        stands(model("unproven", "b"), State.REGISTERED, "Registered"),
        stands(evaluation("judge", "unproven"), State.REFUSED, "GateFailed", verdict="Failed",
               model={"name": "unproven", "uri": "pvc://workspace/m", "digest": digest("b")}),
    )  # fmt: skip
    promote = ("lore", "promote", "unproven", "--to", "overlays/production", "--tier", "tail", "-n", namespace)
    said = run(*promote, cwd=repository)

    assert said.returncode == EXIT_STALLED
    assert "judge: its verdict is Failed" in said.stderr
    assert run("git", "status", "--porcelain", cwd=repository).stdout == ""


def test_a_base_that_moved_its_tiers_does_not_build(staging: None, run: Run, repository: Path, namespace: str) -> None:
    promote = ("lore", "promote", "lore-q", "--to", "overlays/production", "--tier", "tail", "-n", namespace)
    assert run(*promote, cwd=repository).returncode == EXIT_OK
    path = repository / "base/search.yaml"
    moved = yaml.safe_load(path.read_text())
    moved["spec"]["tiers"].reverse()
    path.write_text(yaml.safe_dump(moved))

    assert run("kubectl", "kustomize", "overlays/production", cwd=repository).returncode != 0
