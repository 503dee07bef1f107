"""A benchmark's short form as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def short(module: str, temporary: Path, *words: str) -> str:
    """What it prints; its exit status must be 0."""
    command = [sys.executable, "-m", module, "--short", *words]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
