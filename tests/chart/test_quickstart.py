"""docs/quickstart.md is run: its commands, as they stand there, on an API server that has never seen the platform."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cluster.fixtures import REPOSITORY

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from lore_core.router.requests import RelevanceBody

PAGE = REPOSITORY / "docs" / "quickstart.md"
RUN = ("Install", "Apply", "Look")


def sections() -> dict[str, str]:
    """Heading → its shell commands."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    blocks = {head: re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for head, text in _pairs(parts)}
    return {head: "".join(found) for head, found in blocks.items()}


def _pairs(parts: list[str]) -> list[tuple[str, str]]:
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
def fresh() -> Iterator[ControlPlane]:
    """A control plane without our definitions."""
    tools.require_profile("control-plane")
    with ControlPlane.temporary() as running:
        yield running


def test_the_pages_commands_lead_to_the_chain_that_it_speaks_of(fresh: ControlPlane, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("helm", "kubectl"):
        (programs / name).symlink_to(tools.require(name))
    (programs / "lore").write_text(f'#!/bin/sh\nexec {sys.executable} -m lore_core "$@"\n')
    (programs / "lore").chmod(0o755)
    libraries = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "operator")))
    path = os.pathsep.join((str(programs), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(fresh.kubeconfig), "PYTHONPATH": libraries}
    script = "set -eux\n" + "".join(sections()[head] for head in RUN)

    done = subprocess.run(
        ["bash", "-c", script], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    for name in ("RelevanceTrainJob/lore-q", "RelevanceEval/lore-q", "RelevanceDeployment/search"):
        assert name in done.stdout
    for kind, name in re.findall(r"\b(rtj|rdep)/([\w-]+)", sections()["Where pods run"]):
        assert fresh.kubectl("get", kind, name, "--namespace=lore-quickstart")


def test_the_pages_question_is_one_that_the_router_takes() -> None:
    (body,) = re.findall(r"-d '([^']+)'", sections()["Where pods run"])

    assert msgspec.json.decode(body, type=RelevanceBody).items[0].id == "1"
