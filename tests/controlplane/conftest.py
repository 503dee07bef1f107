"""Every test here talks to a real API server with its controllers; nodes there are none."""

import pytest
from cluster.audit import EXERCISED_BY
from cluster.fixtures import control_plane, kubeconfig, kubectl, namespace
from cluster.lore_command import put, run
from cluster.operator_process import api, operator, operator_account

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl

__all__ = [
    "api", "control_plane", "kserve_kinds", "kubeconfig", "kubectl", "namespace", "operator", "operator_account", "put", "run",
]  # fmt: skip


RIGHTS = "test_rights"


@pytest.fixture(scope="session")
def kserve_kinds(kubectl: Kubectl) -> None:
    """The InferenceService kind is served, as on a cluster with KServe; its controller does not run."""
    kubectl.apply_definitions([tools.manifests("kserve") / "crd/full/serving.kserve.io_inferenceservices.yaml"])


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share a worker, and what judges the audit log runs last, where the operator's main runs were logged."""
    items.sort(key=lambda item: item.path.stem == RIGHTS)
    for item in items:
        shared = item.path.stem in {RIGHTS, *EXERCISED_BY}
        item.add_marker(pytest.mark.xdist_group(RIGHTS if shared else item.path.stem))
