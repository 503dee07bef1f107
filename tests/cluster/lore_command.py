"""`lore` as a person runs it, and objects with the status that the operator would have written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster.fixtures import REPOSITORY

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(kubeconfig: Path, tmp_path: Path) -> Run:
    """Run a command as a person would, kubectl and the plugin on the PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(tools.require("kubectl"))
    for name in ("lore", "kubectl-lore"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m lore_core "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join((str(programs), os.environ["PATH"]))
    libraries = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "operator")))
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": libraries}

    def called(*words: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=cwd)

    return called


@pytest.fixture
def put(kubectl: Kubectl, namespace: str) -> Callable[..., None]:
    """Create objects with the status that the operator would have written."""

    def create(*objects: dict[str, Any]) -> None:
        for item in objects:
            plain = {name: value for name, value in item.items() if name != "status"}
            kubectl("create", "--filename=-", f"--namespace={namespace}", stdin=json.dumps(plain))
            if status := item.get("status"):
                name, text = f"{item['kind']}/{item['metadata']['name']}", json.dumps({"status": status})
                kubectl(
                    "patch", name, f"--namespace={namespace}", "--subresource=status", "--type=merge", f"--patch={text}"
                )

    return create
