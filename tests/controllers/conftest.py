"""The real Kueue and JobSet controllers beside the operator, on a control plane without nodes: `make controllers`."""

from collections.abc import Iterator

import pytest
from cluster.fixtures import control_plane, kubeconfig, kubectl, namespace
from cluster.operator_process import api, operator, operator_account

from hack.cluster import tools
from hack.cluster.controllers import JOBSET, KUEUE, Controller
from hack.cluster.controlplane import ControlPlane

__all__ = ["api", "control_plane", "kubeconfig", "kubectl", "namespace", "operator", "operator_account"]


@pytest.fixture(scope="session", autouse=True)
def controllers(control_plane: ControlPlane) -> Iterator[None]:
    """JobSet first: Kueue manages its kind only where it is served."""
    tools.require_profile("controllers")
    running = [Controller(program, control_plane) for program in (JOBSET, KUEUE)]
    try:
        for controller in running:
            controller.start()
        yield
    finally:
        for controller in reversed(running):
            print(controller.daemon.log.read_text()[-4000:] if controller.daemon.log.exists() else "never started")
            controller.stop()
