"""The platform's operator under load: train jobs in, Jobs out."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.operator.accounts import account
from benchmarks.operator.process import Controller, mebibytes
from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from lore_operator.children.labels import OWNER_NAME

ROOT = Path(__file__).resolve().parents[2]
_DIGEST = "sha256:" + "a" * 64


def operator(plane: ControlPlane, folder: Path, namespace: str) -> Controller:
    """The operator with the chart's rights and its report policy, for one namespace."""
    port = free_port()
    rules = yaml.safe_load((ROOT / "charts/lore/files/rules.yaml").read_text())["rules"]
    plane.kubectl.apply(*yaml.safe_load_all(_chart("templates/reportpolicy.yaml")))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LORE_")}
    images = {f"LORE_{name}_IMAGE": f"{name.lower()}:bench" for name in ("TRAINER", "SERVER", "ROUTER")}
    own = {
        "KUBECONFIG": str(account(plane, folder, "lore-operator", rules)),
        "LORE_NAMESPACES": namespace,
        "LORE_HTTP_PORT": str(port),
        "LORE_SHARED_ACCOUNT": "true",
        "LORE_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "lore_operator"]
    return Controller(command, {**kept, **images, **own}, folder / "operator.log", port)


def _chart(template: str) -> str:
    command = [str(tools.require("helm")), "template", "lore", str(ROOT / "charts/lore"), "--show-only", template]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def train_job(namespace: str, index: int) -> dict[str, Any]:
    """One training stage on one node, which publishes a model."""
    own = name(index)
    return {
        "apiVersion": "lore-platform.io/v1alpha1",
        "kind": "RelevanceTrainJob",
        "metadata": {"name": own, "namespace": namespace},
        "spec": {
            "baseModel": {"uri": "pvc://artifacts/base", "digest": _DIGEST},
            "data": {"uri": "pvc://artifacts/pairs", "digest": _DIGEST},
            "ruleSet": {"uri": "pvc://artifacts/rules", "digest": _DIGEST},
            "workspace": {"uri": "pvc://workspace/runs"},
            "stages": [{"name": "sft", "sft": {}, "publish": {"as": f"{own}-model"}}],
        },
    }


def name(index: int) -> str:
    """Name of a train job."""
    return f"job-{index:05d}"


def library_mib() -> float:
    """Resident MiB of a process that has imported kopf with its HTTP client and done nothing yet."""
    said = "from lore_operator.engine.framework import kopf; import aiohttp; print(open('/proc/self/status').read())"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    return mebibytes(done.stdout, "VmRSS")


def owner(child: dict[str, Any]) -> str:
    """The train job of a Job."""
    return str(child["metadata"]["labels"][OWNER_NAME])


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
