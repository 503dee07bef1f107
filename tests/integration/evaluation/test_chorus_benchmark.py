"""`python -m benchmarks.chorus --short`, on the judgements that LORE_CHORUS_DIR names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
CONTENDERS = {"student", "lexical", "BM25, cuts", "zero-shot MiniLM, cuts"}


def test_a_short_run_compares_every_contender_on_a_whole_fold(tmp_path: Path) -> None:
    if "LORE_CHORUS_DIR" not in os.environ:
        message = "LORE_CHORUS_DIR is not set: the Chorus comparison is not run"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    command = [sys.executable, "-m", "benchmarks.chorus", "--short", "--out", str(tmp_path / "scores.json")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {score["contender"] for score in scores} == CONTENDERS
    assert {score["slice"] for score in scores} == {"all pairs", "items not in training"}
    assert all(0 <= score["value"] <= 1 for score in scores)


def test_without_the_data_it_says_what_to_set() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "LORE_CHORUS_DIR"}
    command = [sys.executable, "-m", "benchmarks.chorus", "--short"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "LORE_CHORUS_DIR: set it" in done.stderr
