"""`python -m benchmarks.operator --short`: it runs, and what it counts (not how fast it was) is as it should be."""

import subprocess
import sys

from cluster.fixtures import REPOSITORY


def test_a_hundred_train_jobs_cost_at_most_four_creates_each_and_nothing_at_rest() -> None:
    command = [sys.executable, "-m", "benchmarks.operator", "--short"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)

    names, numbers = (line.split() for line in done.stdout.splitlines()[:2])
    row = dict(zip(names, map(float, numbers), strict=True))
    assert (row["objects"], row["rest_writes"], row["restart_writes"]) == (100, 0, 0)
    assert row["creates"] <= 4
