"""The short forms of the benchmarks that need no server: they run, hold their bounds, and leave nothing on the disk."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def short(module: str, temporary: Path, *words: str) -> str:
    command = [sys.executable, "-m", module, "--short", *words]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_strata_build_of_a_million_rows_is_measured_beside_plain_sql_within_two_gib(tmp_path: Path) -> None:
    said = short("benchmarks.strata", tmp_path)

    assert "1,000,000 rows" in said
    assert [line.split("  ")[1] for line in said.splitlines() if "MiB, work" in line] == [
        "lore strata build",
        "plain SQL",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_replayed_day_has_its_head_pairs_and_a_cost_beside_the_tail_alone(tmp_path: Path) -> None:
    said = short("benchmarks.replay", tmp_path, "--torso", "0.001", "--tail", "0.01")

    assert "head pairs hit" in said
    assert {line.split()[0] for line in said.splitlines() if "factor" in line} == {"PerQuery", "PerItem"}
    assert list(tmp_path.iterdir()) == []


def test_four_arms_are_trained_from_one_base_and_stand_side_by_side(tmp_path: Path) -> None:
    said = short("benchmarks.pictures", tmp_path, "--seeds", "5")

    assert "words read from the gate split's pictures  kind: " in said
    arms = ("picture", "blank", "shuffled picture", "caption")
    for arm in arms:
        assert f"seed 5, {arm}: Accuracy@2 on the tune split by step  1: " in said
        assert sum(line.startswith(f"{arm} ") for line in said.splitlines()) == 2
    assert "visual: 48 pairs, 12 queries" in said
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("torchinductor")] == []  # torch's own
