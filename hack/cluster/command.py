"""Running a system program to its end."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.paths import SEARCH


def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run the program and return what it printed; an error carries its own words."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PATH": SEARCH, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
