"""What a changed rule set leaves behind."""

import json
from pathlib import Path

import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.cli import main


def made(root: Path, name: str, kind: str, inputs: dict[str, str]) -> str:
    source = root / f"{name}-files"
    source.mkdir()
    (source / "f").write_text(name)
    digest = publish(source, ArtifactRef(uri=(root / name).as_uri()), kind, inputs).digest
    assert digest is not None
    return digest


def test_artifacts_of_the_old_set_and_what_was_made_from_them_are_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = (made(tmp_path, name, "rule-set", {}) for name in ("old", "new"))
    pairs = made(tmp_path, "pairs", "pairs", {"ruleSet": old})
    model = made(tmp_path, "model", "model", {"data": pairs, "ruleSet": new})
    made(tmp_path, "head", "head", {"model": model, "ruleSet": new})
    made(tmp_path, "evidence", "evidence", {"rules": old})
    made(tmp_path, "fresh", "pairs", {"ruleSet": new})
    made(tmp_path, "free", "pairs", {})
    names = ("pairs", "model", "head", "evidence", "fresh", "free")
    status = main(["rules", "stale", "--rules", str(tmp_path / "new"), *(str(tmp_path / name) for name in names)])
    told = [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()]
    assert (status, told) == (1, ["stale", "stale", "stale", "stale", "current", "no rules"])
    assert main(["rules", "stale", "--rules", str(tmp_path / "new"), str(tmp_path / "fresh"), "--output=json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["kind"], row["standing"]) == ("pairs", "current")


def test_what_is_no_rule_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, "pairs", "pairs", {})
    assert main(["rules", "stale", "--rules", str(tmp_path / "pairs"), str(tmp_path / "pairs")]) == 1
    assert "is a pairs, needed is a rule-set" in capsys.readouterr().err
