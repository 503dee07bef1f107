"""`python -m hack.cluster` as a user types it."""

import os
import subprocess
import sys

from cluster.fixtures import REPOSITORY


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, whatever its exit status."""
    return subprocess.run(
        [sys.executable, "-m", "hack.cluster", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
