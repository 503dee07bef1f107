"""Every test here talks to a real API server with its controllers; nodes there are none."""

import pytest
from cluster.fixtures import control_plane, kubeconfig, kubectl, namespace
from cluster.lore_command import put, run
from cluster.operator_process import api, operator, operator_account

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl

__all__ = [
    "api", "control_plane", "entrance_kinds", "kserve_kinds", "kubeconfig", "kubectl", "namespace", "operator",
    "operator_account", "put", "run",
]  # fmt: skip


@pytest.fixture(scope="session")
def kserve_kinds(kubectl: Kubectl) -> None:
    """The InferenceService kind is served, as on a cluster with KServe; its controller does not run."""
    kubectl.apply_definitions([tools.manifests("kserve") / "crd/full/serving.kserve.io_inferenceservices.yaml"])


@pytest.fixture(scope="session")
def entrance_kinds(kubectl: Kubectl) -> None:
    """Routes of the Gateway API and KServe's graphs are served; no controller of either runs."""
    graphs = tools.manifests("kserve") / "crd/full/serving.kserve.io_inferencegraphs.yaml"
    routes = tools.manifests("gateway-api") / "gateway.networking.k8s.io_httproutes.yaml"
    kubectl.apply_definitions([graphs, routes])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What judges the audit log of the other modules runs last."""
    items.sort(key=lambda item: item.path.stem == "test_rights")
