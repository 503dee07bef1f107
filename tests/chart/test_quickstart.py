"""docs/quickstart.md is run: its commands, as they stand there, on an API server that has never seen the platform.

What needs pods is run by tests/e2e/test_quickstart.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cluster.quickstart_page import run, sections

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from lore_core.router.requests import RelevanceBody

WITHOUT_PODS = ("Install", "Apply", "Look")


@pytest.fixture
def fresh() -> Iterator[ControlPlane]:
    """A control plane without our definitions."""
    tools.require_profile("control-plane")
    with ControlPlane.temporary() as running:
        yield running


def test_the_pages_commands_lead_to_the_chain_that_it_speaks_of(fresh: ControlPlane, tmp_path: Path) -> None:
    done = run("".join(sections()[head] for head in WITHOUT_PODS), fresh.kubeconfig, tmp_path)

    assert done.returncode == 0, done.stderr
    for name in ("RelevanceTrainJob/lore-q", "RelevanceEval/lore-q", "RelevanceDeployment/search"):
        assert name in done.stdout
    for kind, name in re.findall(r"\b(rtj|rdep)/([\w-]+)", sections()["Where pods run"]):
        assert fresh.kubectl("get", kind, name, "--namespace=lore-quickstart")


def test_every_section_of_the_page_is_run_somewhere() -> None:
    assert [head for head, script in sections().items() if script] == [*WITHOUT_PODS, "Where pods run"]


def test_the_pages_question_is_one_that_the_router_takes() -> None:
    (body,) = re.findall(r"-d '([^']+)'", sections()["Where pods run"])

    assert msgspec.json.decode(body, type=RelevanceBody).items[0].id == "1"
