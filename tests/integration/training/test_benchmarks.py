"""The short forms of benchmarks that train: their arms are trained, compared, and leave nothing on the disk."""

import json
import re
from pathlib import Path

from ..short_forms import short


def left(temporary: Path) -> list[str]:
    """What stayed behind, but for torch's own cache."""
    return [path.name for path in temporary.iterdir() if not path.name.startswith("torchinductor")]


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
    for arm in found["arms"].values():
        assert all(0 <= run["passes"]["PassAt1"] <= 1 for run in arm["runs"])
    assert "PassAtKAboveChance" in said
    trained = {path: path.stat().st_mtime_ns for path in work.glob("runs/stages/*/model/lore-manifest.json")}
    assert len(trained) == len(arms)
    assert short("benchmarks.ablation", temporary, *words) == said
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert left(temporary) == []


def test_a_student_is_trained_twice_from_its_teacher_and_says_how_far_it_follows(tmp_path: Path) -> None:
    work, out, temporary = tmp_path / "work", tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    words = ("--work", str(work), "--out", str(out))

    said = short("benchmarks.students", temporary, *words)

    found = json.loads((out / "students.json").read_text())
    assert list(found["figures"]) == ["seed 17"]
    assert list(found["figures"]["seed 17"]) == [
        "head misses",
        "all but Visual",
        "Visual",
        "all",
    ]  # few queries: all head
    assert [one["figure"] for one in found["verdicts"]["seed 17"]].index("no pairs") == 0
    assert len(found["verdicts"]["seed 17"]) == 6
    for one in found["verdicts"]["seed 17"]:
        assert f"{'reached' if one['reached'] else 'MISSED':9}{one['target']}: {one['figure']}" in said
    trained = {path: path.stat().st_mtime_ns for path in work.glob("runs/stages/*/model/lore-manifest.json")}
    assert len(trained) == 4  # two of the ablation make the teacher
    reports = [json.loads((work / "logs" / f"17-{arm}.report.json").read_text()) for arm in ("student", "gold-alone")]
    assert ["teacherTemperature" in one["summary"] for one in reports] == [True, False]
    assert short("benchmarks.students", temporary, *words) == said
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert left(temporary) == []


def test_a_model_is_trained_on_a_world_and_every_aim_that_it_misses_is_named(tmp_path: Path) -> None:
    said = short("benchmarks.quality", tmp_path)

    assert "ThinkFirst, seed 17: trained in " in said
    of_seed, of_worst = said.split("seed 17\n", 1)[1].split("worst of 1 seeds\n", 1)
    assert of_worst.startswith(of_seed.rstrip("\n"))
    assert re.findall(r"^(?:subset|cell) (\S+)", of_seed, re.MULTILINE)[:4] == ["general", "hard", "rules", "visual"]
    assert re.search(r"^missed: Macro-F1 0\.\d+ < 0\.8$", of_worst, re.MULTILINE)
    assert left(tmp_path) == []


def test_four_arms_are_trained_from_one_base_and_stand_side_by_side(tmp_path: Path) -> None:
    said = short("benchmarks.pictures", tmp_path, "--seeds", "5")

    assert "words read from the gate split's pictures  kind: " in said
    arms = ("picture", "blank", "shuffled picture", "caption")
    for arm in arms:
        assert f"seed 5, {arm}: Accuracy@2 on the tune split by step  1: " in said
        assert sum(line.startswith(f"{arm} ") for line in said.splitlines()) == 2
    assert "visual: 48 pairs, 12 queries" in said
    assert left(tmp_path) == []
