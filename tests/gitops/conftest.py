"""Flux's real controllers beside the operator, on a control plane without nodes: `make gitops`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import git_server
from cluster.fixtures import control_plane, kubeconfig, kubectl, namespace
from cluster.flux_waves import Waves, flux_files
from cluster.git_repository import PRODUCTION, SEARCH, STAGING, GitRepository
from cluster.git_server import GitServer
from cluster.lore_command import Run, run
from cluster.operator_process import Api, OperatorProcess, api, operator_account
from controlplane.conftest import kserve_kinds
from controlplane.test_operator_serving import Cluster, cluster

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.flux import Flux
from hack.cluster.kubectl import Kubectl

__all__ = [
    "api", "cluster", "control_plane", "kserve_kinds", "kubeconfig", "kubectl", "namespace", "operator_account", "run",
]  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def flux(control_plane: ControlPlane) -> Iterator[None]:
    tools.require_profile("gitops")
    running = Flux(control_plane)
    try:
        running.start()
        yield
    finally:
        for daemon in running.daemons:
            print(daemon.log.read_text()[-8000:] if daemon.log.exists() else f"{daemon.name} never started")
        running.stop()


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with git_server.serving(tmp_path_factory.mktemp("git")) as running:
        yield running


@pytest.fixture
def staging(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """Beside the test's namespace, which is production."""
    name = f"{namespace}-s"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def operator(operator_account: Path, namespace: str, staging: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """One operator for both namespaces."""
    running = OperatorProcess(operator_account, f"{namespace},{staging}", tmp_path / "operator.log")
    running.start()
    yield running
    running.kill()
    print((tmp_path / "operator.log").read_text()[-8000:])


@pytest.fixture
def in_staging(api: Api, staging: str) -> Cluster:
    """What happens in staging outside the operator: trainings and evaluations end. No kubelet runs their pods."""
    return Cluster(Api(api.client, staging), port=0)


@pytest.fixture
def repository(tmp_path: Path, run: Run, host: GitServer, staging: str) -> GitRepository:
    """Production serves nothing yet, and staging has nothing to judge."""
    found = GitRepository(tmp_path / "git", run, staging)
    found.write("base/kustomization.yaml", {"resources": ["search.yaml"]})
    found.write("base/search.yaml", SEARCH)
    found.write(f"{PRODUCTION}/kustomization.yaml", {"resources": ["../../base"]})
    found.write(f"{STAGING}/kustomization.yaml", {"resources": []})
    found.git("remote", "add", "origin", host.create(staging))
    return found


@pytest.fixture
def waves(
    repository: GitRepository, run: Run, api: Api, kubectl: Kubectl, staging: str, tmp_path: Path
) -> Iterator[Waves]:
    """`kubectl apply --filename deploy/flux`, with this test's address and namespaces."""
    name = f"{api.namespace}-f"
    kubectl("create", "namespace", name)
    changes = {
        "https://git.example.com/search/relevance.git": repository.git("remote", "get-url", "origin").strip(),
        "namespace: flux-system": f"namespace: {name}",
        "targetNamespace: relevance-production": f"targetNamespace: {api.namespace}",
        "targetNamespace: relevance-staging": f"targetNamespace: {staging}",
    }
    applied = run("kubectl", "apply", "--filename", str(flux_files(tmp_path / "flux", changes)))
    assert applied.returncode == 0, applied.stderr
    yield Waves(Api(api.client, name), repository)
    kubectl("delete", "namespace", name, "--wait=false")
