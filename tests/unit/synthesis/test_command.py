"""`lore synthesize` from artifacts to an artifact that training reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from unit.synthesis.world import KEY, rule_teacher, served, world_pairs

from lore_core.artifacts import ArtifactRef, publish, verify
from lore_core.benchmark.rulebook import rulebook
from lore_core.cli import main
from lore_core.jobs import Report
from lore_core.records import Pair, read_splits, write_pairs

PAIRS = world_pairs(1)[::6]


def place(root: Path, name: str, kind: str, **files: list[Pair] | bytes) -> ArtifactRef:
    folder = root / f"{name}-files"
    folder.mkdir()
    for stem, content in files.items():
        if isinstance(content, bytes):
            (folder / f"{stem}.json").write_bytes(content)
        else:
            write_pairs(folder / f"{stem}.jsonl", content)
    return publish(folder, ArtifactRef(uri=(root / name).as_uri()), kind)


def ran(root: Path, url: str, **changes: Any) -> tuple[int, Report]:
    if not (root / "data").exists():
        tune = [pair.model_copy(update={"id": f"t{pair.id}"}) for pair in PAIRS[:2]]
        place(root, "data", "pairs", train=PAIRS, tune=tune)
        place(root, "rules", "rule-set", rules=rulebook().to_bytes())
    refs = {name: {"uri": (root / name).as_uri()} for name in ("data", "workspace")}
    spec = {"teacher": {"url": url, "model": "stand-in"}, "samples": 1}
    values = {
        "job": "j",
        "stage": "s",
        **refs,
        "ruleSet": {"uri": (root / "rules").as_uri()},
        "inputKey": KEY,
        "spec": spec,
    }
    config, report = root / "config.json", root / "report.json"
    config.write_text(json.dumps(values | changes))
    status = main(["synthesize", "--config", str(config), "--report", str(report)])
    return status, Report.model_validate_json(report.read_text())


def test_the_result_is_pairs_with_traces_their_provenance_and_a_report(tmp_path: Path) -> None:
    with served(rule_teacher()) as server:
        status, report = ran(tmp_path, server.url)
        again = ran(tmp_path, server.url)[1]
    assert status == 0
    assert report.result is not None
    manifest = verify(ArtifactRef(uri=report.result.uri, digest=report.result.digest), tmp_path / "back")
    splits = read_splits(tmp_path / "back", ("train", "tune"))
    assert (manifest.kind, set(manifest.inputs)) == ("pairs", {"data", "ruleSet"})
    assert len(splits["train"]) == len(PAIRS)
    assert all(pair.trace for pair in splits["train"])
    lines = (tmp_path / "back" / "synthesis" / "provenance.jsonl").read_text().splitlines()
    assert {json.loads(line)["mode"] for line in lines} == {"Blind"}
    assert "acceptRate" in (tmp_path / "back" / "synthesis" / "report.html").read_text()
    assert report.summary["accepted"] == len(PAIRS)
    assert again.result is not None
    assert (again.result.reused, again.result.digest) == (True, report.result.digest)


def test_rules_without_a_rule_set_are_refused(tmp_path: Path) -> None:
    status, report = ran(tmp_path, "http://127.0.0.1:9/v1", ruleSet=None)
    assert (status, report.failure and report.failure.reason) == (1, "MissingRuleSet")


def test_nothing_accepted_is_a_failure_that_says_what_was_wrong(tmp_path: Path) -> None:
    class Silly:
        def answer(self, body: dict[str, Any]) -> str:
            return "I do not know."

    with served(Silly()) as server:  # type: ignore[arg-type]
        status, report = ran(tmp_path, server.url)
    assert status == 1
    assert report.failure is not None
    assert report.failure.reason == "NothingAccepted"
    assert "not the asked format" in report.failure.message


def test_a_bad_config_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.json").write_text('{"job": "j"}')
    assert main(["synthesize", "--config", str(tmp_path / "c.json")]) == 1
    assert "inputKey" in capsys.readouterr().err
