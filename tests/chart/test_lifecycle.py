"""Install, upgrade and uninstall on a real API server, with an operator that runs as the release set it up. No kubelet."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.audit import asked, refused
from cluster.fixtures import REPOSITORY, definitions
from cluster.operator_process import Api, OperatorProcess, await_rights, until, with_token

from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Kubectl
from lore_operator.engine.resources import JOBS, TRAIN_JOBS

CHART = REPOSITORY / "charts" / "lore"
SYSTEM = "lore-lifecycle"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:life-operator"
DEFINITION = "files/crds/lore-platform.io_relevancetrainjobs.yaml"


@pytest.fixture
def release(helm, kubectl: Kubectl, kubeconfig: Path) -> Iterator[Any]:
    """Runs helm for one release; the release is gone afterwards, its definitions are as they were."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})

    def run(verb: str, *options: str | Path):
        return helm(verb, *options, f"--kubeconfig={kubeconfig}", f"--namespace={SYSTEM}")

    yield run
    run("uninstall", "life", "--ignore-not-found")
    kubectl.apply_definitions(definitions())


def variables(kubectl: Kubectl, name: str = "life-operator", system: str = SYSTEM) -> dict[str, str]:
    """The environment that the release gives the operator."""
    (container,) = kubectl.get("deployment", name, "-n", system)["spec"]["template"]["spec"]["containers"]
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


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The chart one version back: its train jobs do not know `runToken` yet."""
    chart = shutil.copytree(CHART, tmp_path / "previous")
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "0.0.9", "appVersion": "0.0.9"}))
    definition = yaml.safe_load((chart / DEFINITION).read_text())
    del spec_of(definition)["runToken"]
    (chart / DEFINITION).write_text(yaml.safe_dump(definition))
    return chart


def spec_of(definition: dict[str, Any]) -> dict[str, Any]:
    """The fields of a definition's spec."""
    (version,) = definition["spec"]["versions"]
    fields: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return fields


async def started(api: Api, name: str) -> None:
    """The operator has created the Job; without a node its pod stays unscheduled."""
    await until(lambda: api.names(JOBS), lambda found: f"{name}-sft-a1" in found, seconds=180)


async def test_a_release_from_its_first_day_to_its_last(
    release: Any,
    previous: Path,
    control_plane: ControlPlane,
    kubectl: Kubectl,
    kubeconfig: Path,
    namespace: str,
    api: Api,
    tmp_path: Path,
) -> None:
    refused_install = release("install", "life", previous)
    assert refused_install.returncode != 0
    assert "relevancedeployments.lore-platform.io" in refused_install.stderr, "definitions have one owner"
    # The definitions of the fixture are kubectl's: to take them over is said twice.
    taken = ("--take-ownership", "--force-conflicts")
    installed = release("install", "life", previous, *taken, f"--set=namespaces={{{namespace}}}")
    assert installed.returncode == 0, installed.stderr
    assert "runToken" not in spec_of(kubectl.get("crd", "relevancetrainjobs.lore-platform.io"))

    await_rights(kubectl, ACCOUNT, namespace)
    token = kubectl("create", "token", "life-operator", "-n", SYSTEM).strip()
    login, log = with_token(kubeconfig, token, tmp_path / "kubeconfig"), tmp_path / "operator.log"
    operator = OperatorProcess(login, namespace, log, variables(kubectl))
    operator.start()
    try:
        await api.create(job("first"))
        await started(api, "first")
        assert operator.stop() == 0
        before = await api.versions()
        assert asked(control_plane.audit_log, ACCOUNT)
        assert refused(control_plane.audit_log, ACCOUNT) == set(), "a Role in the namespace is enough"

        upgraded = release("upgrade", "life", CHART, "--set=images.trainer.tag=v2,images.operator.tag=v2")
        assert upgraded.returncode == 0, upgraded.stderr
        assert "runToken" in spec_of(kubectl.get("crd", "relevancetrainjobs.lore-platform.io"))
        await_rights(kubectl, ACCOUNT)
        operator = OperatorProcess(login, "", log, variables(kubectl))
        operator.start()
        await api.create(job("second"))
        await started(api, "second")
        after = await api.versions()
        images = {
            item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["image"]
            for item in await api.items(JOBS)
        }
        assert images == {"first-sft-a1": "lore-trainer:0.0.9", "second-sft-a1": "lore-trainer:v2"}
        children = {name: version for name, version in before.items() if "/first-" in name}
        assert len(children) == 6
        assert {name: after[name] for name in children} == children, "the upgrade wrote to what was there"
        assert refused(control_plane.audit_log, ACCOUNT) == set(), "and a ClusterRole for all namespaces"
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
        kubectl("get", "clusterrole", "life-operator")


def test_the_manifests_without_helm_are_the_charts(kubectl: Kubectl) -> None:
    kustomized = [m for m in yaml.safe_load_all(kubectl("kustomize", str(REPOSITORY / "deploy"))) if m]
    kinds = [manifest["kind"] for manifest in kustomized]

    assert kinds.count("CustomResourceDefinition") == len(definitions())
    assert {"Namespace", "Deployment", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Service"} <= {*kinds}


async def test_what_is_applied_without_helm_lets_an_operator_work_and_goes_again(
    control_plane: ControlPlane, kubectl: Kubectl, kubeconfig: Path, api: Api, tmp_path: Path
) -> None:
    account, log = "system:serviceaccount:lore-system:lore-operator", tmp_path / "operator.log"
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(REPOSITORY / "deploy"))
    await_rights(kubectl, account)
    token = kubectl("create", "token", "lore-operator", "-n", "lore-system").strip()
    login = with_token(kubeconfig, token, tmp_path / "kubeconfig")
    operator = OperatorProcess(login, "", log, variables(kubectl, "lore-operator", "lore-system"))
    operator.start()
    try:
        await api.create(job("plain"))
        await started(api, "plain")
        assert operator.stop() == 0
        assert refused(control_plane.audit_log, account) == set()
    finally:
        operator.kill()
        print(log.read_text()[-4000:])

    kubectl("delete", "-f", str(REPOSITORY / "deploy/operator.yaml"), "--timeout=60s")
    assert await api.names(TRAIN_JOBS) == ["plain"], "resources outlive the operator"
