"""Install, upgrade and uninstall on a real API server, with an operator that runs as the release set it up. No kubelet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.fixtures import REPOSITORY, definitions
from cluster.operator_process import Api, OperatorProcess, until, with_token

from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Kubectl
from lore_operator.engine.resources import JOBS, TRAIN_JOBS

CHART = REPOSITORY / "charts" / "lore"
SYSTEM = "lore-lifecycle"


@pytest.fixture
def release(helm, kubectl: Kubectl, kubeconfig: Path) -> Iterator[Any]:
    """Runs helm for one release; the release is gone afterwards, its definitions are as they were."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})

    def run(verb: str, *options: str | Path):
        return helm(verb, *options, f"--kubeconfig={kubeconfig}", f"--namespace={SYSTEM}")

    yield run
    run("uninstall", "life", "--ignore-not-found")
    kubectl.apply_definitions(definitions())


def variables(kubectl: Kubectl) -> dict[str, str]:
    """The environment that the release gives the operator."""
    (container,) = kubectl.get("deployment", "life-operator", "-n", SYSTEM)["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def job(name: str) -> dict[str, Any]:
    spec = {
        "baseModel": {"uri": "pvc://artifacts/base"},
        "data": {"uri": "pvc://artifacts/pairs"},
        "workspace": {"uri": "pvc://workspace/runs"},
        "stages": [{"name": "sft", "sft": {"ruleMode": "None"}}],
    }
    return {
        "apiVersion": "lore-platform.io/v1alpha1",
        "kind": "RelevanceTrainJob",
        "metadata": {"name": name},
        "spec": spec,
    }


async def started(api: Api, name: str) -> None:
    """The operator has created the Job; without a node its pod stays unscheduled."""
    await until(lambda: api.names(JOBS), lambda found: f"{name}-sft-a1" in found, seconds=180)


async def test_a_release_from_its_first_day_to_its_last(
    release, kubectl: Kubectl, kubeconfig: Path, namespace: str, api: Api, tmp_path: Path
) -> None:
    refused = release("install", "life", CHART)
    assert refused.returncode != 0
    assert "relevancedeployments.lore-platform.io" in refused.stderr, "definitions have one owner"
    installed = release("install", "life", CHART, "--take-ownership", f"--set=namespaces={{{namespace}}}")
    assert installed.returncode == 0, installed.stderr

    token = kubectl("create", "token", "life-operator", "-n", SYSTEM).strip()
    login, log = with_token(kubeconfig, token, tmp_path / "kubeconfig"), tmp_path / "operator.log"
    operator = OperatorProcess(login, namespace, log, variables(kubectl))
    operator.start()
    try:
        await api.create(job("first"))
        await started(api, "first")
        assert operator.stop() == 0
        before = await api.versions()

        upgraded = release(
            "upgrade",
            "life",
            CHART,
            f"--set=namespaces={{{namespace}}}",
            "--set=images.trainer.tag=v2,images.operator.tag=v2",
        )
        assert upgraded.returncode == 0, upgraded.stderr
        operator = OperatorProcess(login, namespace, log, variables(kubectl))
        operator.start()
        await api.create(job("second"))
        await started(api, "second")
        after = await api.versions()
        images = {
            item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["image"]
            for item in await api.items(JOBS)
        }
        assert images == {"first-sft-a1": "lore-trainer:0.1.0", "second-sft-a1": "lore-trainer:v2"}
        children = {name: version for name, version in before.items() if not name.startswith("Relevance")}
        assert {name: after[name] for name in children} == children, "the upgrade wrote to what was there"
    finally:
        operator.kill()
        print(log.read_text()[-8000:])

    # Without an operator to help: nothing may wait for it.
    assert release("uninstall", "life").returncode == 0
    assert kubectl.get("crd", "relevancetrainjobs.lore-platform.io")["metadata"]["name"]
    assert len(await api.items(TRAIN_JOBS)) == 2, "resources outlive the release"
    named = [crd["metadata"]["name"] for crd in (yaml.safe_load(path.read_text()) for path in definitions())]
    kubectl("delete", "crd", *named, "--timeout=60s")
    await until(lambda: api.names(JOBS), lambda found: not found)
    with pytest.raises(ClusterError, match="NotFound"):
        kubectl("get", "role", "life-operator", "-n", namespace)


def test_the_manifests_without_helm_are_the_charts(kubectl: Kubectl) -> None:
    kustomized = [m for m in yaml.safe_load_all(kubectl("kustomize", str(REPOSITORY / "deploy"))) if m]
    kinds = [manifest["kind"] for manifest in kustomized]

    assert kinds.count("CustomResourceDefinition") == len(definitions())
    assert {"Namespace", "Deployment", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Service"} <= {*kinds}
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(REPOSITORY / "deploy"))
    kubectl("delete", "-f", str(REPOSITORY / "deploy/operator.yaml"), "--wait=false")
