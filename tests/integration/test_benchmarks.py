"""The short forms of the benchmarks that need no server: they run, hold their bounds, and leave nothing on the disk."""

import json
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


def test_an_ablation_trains_its_arms_within_one_budget_and_says_what_is_reached(tmp_path: Path) -> None:
    work, out, temporary = tmp_path / "work", tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    words = ("--work", str(work), "--out", str(out))

    said = short("benchmarks.ablation", temporary, *words)

    arms = ["SFT", "+ rules", "+ align"]
    found = json.loads((out / "ablation.json").read_text())
    assert list(found["arms"]) == arms
    assert [one["contrast"] for one in found["verdicts"]] == ["+ align"]
    assert "trained tokens of the arms from the base differ by at most" in said
    assert (out / "ablation.svg").read_text().startswith("<svg")
    trained = {path: path.stat().st_mtime_ns for path in work.glob("runs/stages/*/model/lore-manifest.json")}
    assert len(trained) == len(arms)
    assert short("benchmarks.ablation", temporary, *words) == said
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert list(temporary.iterdir()) == []
