"""`python -m benchmarks.router --short`: it must not rot, and the head must not fall below half of its target."""

import subprocess
import sys
from pathlib import Path

import pytest

from hack.cluster import tools

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.usefixtures("port_8080")
def test_a_short_run_measures_both_routers_on_one_stub() -> None:
    kserve = str(tools.require("kserve-router"))
    command = [sys.executable, "-m", "benchmarks.router", "--short", "--kserve-router", kserve]

    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    assert {"lore", "kserve"} <= rows
    for apart in ("rendering the prompt takes", "by lists", "one by one"):
        assert apart in done.stdout
