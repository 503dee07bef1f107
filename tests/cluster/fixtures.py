"""Fixtures for tests against a real API server; a conftest imports those it wants."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import Kubectl

REPOSITORY = Path(__file__).resolve().parents[2]


def definitions() -> list[Path]:
    """The project's CRD files."""
    return sorted((REPOSITORY / "crds").glob("*.yaml"))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane for this worker, with the project's kinds served. Missing binaries are an error, not a skip."""
    tools.require_profile("control-plane")
    with ControlPlane.temporary(definitions()) as running:
        yield running


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """The administrator's kubeconfig."""
    return control_plane.kubeconfig


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """kubectl as the administrator."""
    return control_plane.kubectl


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for this test alone, where only pods of the restricted profile are admitted."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    # Short: KServe puts it into a host name together with its service's name, and that may have 63 characters.
    name = f"{words.removeprefix('test-')[:20].rstrip('-')}-{secrets.token_hex(3)}"
    kubectl.apply(restricted_namespace(name))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def restricted_namespace(name: str) -> dict[str, object]:
    """A namespace under the restricted pod security profile."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
