"""The short forms of benchmarks: they run, hold their bounds, and leave nothing on the disk."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lore_core.capacity.service_times import read_service_times

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


@pytest.mark.serving
@pytest.mark.usefixtures("serving_environment")
def test_a_replayed_day_costs_what_real_predictors_take_beside_the_tail_alone(tmp_path: Path) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    said = short("benchmarks.replay", scratch, "--json", str(tmp_path / "times.json"))

    assert "head pairs hit" in said
    assert "no reasoning; untrained weights" in said
    assert re.search(r"1[0-4]\.\d tokens of reasoning \(at most 14\)", said)
    factors = {policy: float(times) for policy, times in re.findall(r"^(Per\w+) .*: factor (\S+)", said, re.MULTILINE)}
    assert factors.keys() == {"PerQuery", "PerItem"}
    assert factors["PerItem"] > factors["PerQuery"] > 0
    times = read_service_times(tmp_path / "times.json")
    assert "torso with untrained weights, tail with untrained weights" in times.source
    assert min(times.torso_pair_seconds, times.tail_pair_seconds, times.head_request_seconds) > 0
    assert list(scratch.glob("lore-*")) == []  # vLLM's own sockets stay


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


def test_four_arms_are_trained_from_one_base_and_stand_side_by_side(tmp_path: Path) -> None:
    said = short("benchmarks.pictures", tmp_path, "--seeds", "5")

    assert "words read from the gate split's pictures  kind: " in said
    arms = ("picture", "blank", "shuffled picture", "caption")
    for arm in arms:
        assert f"seed 5, {arm}: Accuracy@2 on the tune split by step  1: " in said
        assert sum(line.startswith(f"{arm} ") for line in said.splitlines()) == 2
    assert "visual: 48 pairs, 12 queries" in said
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
