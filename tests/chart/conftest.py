"""The chart as Helm renders it, and a real API server to judge the result."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.fixtures import control_plane, kubeconfig, kubectl, namespace
from cluster.operator_process import api

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl

__all__ = ["api", "control_plane", "kubeconfig", "kubectl", "namespace"]

CHART = Path(__file__).resolve().parents[2] / "charts" / "lore"
Manifest = dict[str, Any]
Helm = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., list[Manifest]]


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Run helm; returns what it did, whatever its status."""
    program = tools.require("helm")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def render(helm: Helm) -> Render:
    """The chart's manifests for some `--set` options or values files."""

    def rendered(*options: str | Path) -> list[Manifest]:
        done = helm("template", "lore", CHART, "--namespace", "lore-system", *options)
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]

    return rendered


@pytest.fixture(scope="session")
def monitored(kubectl: Kubectl) -> None:
    """The kinds of the Prometheus operator that the chart can write are served; it does not run."""
    folder = tools.manifests("prometheus-operator")
    kinds = ("podmonitors", "prometheusrules", "servicemonitors")
    kubectl.apply_definitions([folder / f"monitoring.coreos.com_{kind}.yaml" for kind in kinds])
