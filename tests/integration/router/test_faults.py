"""`python -m benchmarks.faults --short`: routers and predictors that fail under load, as real processes."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]


def test_no_answer_is_lost_or_mixed_and_every_fallback_is_counted() -> None:
    command = [sys.executable, "-m", "benchmarks.faults", "--short"]

    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no answer lost, none mixed, every fallback counted" in done.stdout
