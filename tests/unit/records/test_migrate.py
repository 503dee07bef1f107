"""Labels of another schema are never mixed in; an explicit map writes them anew."""

import json
from pathlib import Path

import pytest

from lore_core.artifacts import ArtifactRef, publish, verify
from lore_core.cli import main
from lore_core.jobs.errors import JobError
from lore_core.records import label_schema_digest, read_pairs
from lore_core.records.schema import require_schema

OLD = "sha256:" + "0" * 64
MAP = {"Exact": "L4", "Substitute": "L3", "Complement": "L2", "Irrelevant": "L1", "Unsure": None}


def record(number: int, label: str, verdict: str = "match") -> dict[str, object]:
    trace = [{"dimension": "colour", "demand": "red", "evidence": "red", "verdict": verdict}]
    base = {"id": f"p{number}", "query": "red shirt", "title": "shirt", "item_id": "i", "subset": "general"}
    return {**base, "groundtruth": label, "trace": trace}


def old_pairs(root: Path, records: list[dict[str, object]], schema: str = OLD) -> Path:
    source = root / "files"
    source.mkdir()
    (source / "train.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in records))
    inputs = {"ruleSet": "sha256:" + "3" * 64}
    publish(source, ArtifactRef(uri=(root / "old").as_uri()), "pairs", inputs, {"labelSchema": schema, "seed": 5})
    return root / "old"


def migrate(root: Path, old: Path, **changes: object) -> int:
    values = {"from": OLD, "to": label_schema_digest(), "labels": MAP} | changes
    (root / "map.json").write_text(json.dumps(values))
    return main(["labels", "migrate", "--data", str(old), "--map", str(root / "map.json"), "--out", str(root / "new")])


def test_every_label_is_read_by_the_map_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["Exact", "Substitute", "Unsure", "Irrelevant"]
    old = old_pairs(tmp_path, [record(n, label) for n, label in enumerate(labels)])
    assert migrate(tmp_path, old) == 0
    manifest = verify(ArtifactRef(uri=(tmp_path / "new").as_uri()), tmp_path / "back")
    found = list(read_pairs(tmp_path / "back" / "train.jsonl"))
    assert [(pair.id, pair.groundtruth.value, bool(pair.trace)) for pair in found] == [
        ("p0", "L4", True), ("p1", "L3", False), ("p3", "L1", False),
    ]  # fmt: skip
    assert manifest.metadata["labelSchema"] == label_schema_digest()
    assert manifest.metadata["counts"] == {"train": 3}
    assert {"ruleSet", "migratedFrom"} == manifest.inputs.keys()
    printed = capsys.readouterr().out
    assert "Unsure>dropped\t1" in printed
    assert "another label\t2" in printed


def test_a_label_that_the_map_does_not_name_ends_it_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = old_pairs(tmp_path, [record(0, "Exact"), record(1, "Perfect")])
    assert migrate(tmp_path, old) == 1
    assert "train.jsonl:2: groundtruth: the map does not name the label 'Perfect'" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"from": "sha256:" + "7" * 64}, "has the label schema"),
        ({"to": "sha256:" + "7" * 64}, "the map leads to"),
        ({"labels": {"Exact": "L5"}}, "labels.Exact"),
        ({"labels": {}}, "labels"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate(tmp_path, old_pairs(tmp_path, [record(0, "Exact")]), **change) == 1
    assert said in capsys.readouterr().err


def test_data_of_another_schema_is_refused_with_the_way_out() -> None:
    with pytest.raises(JobError, match=r"data: file:///d has the label schema .*lore labels migrate") as refused:
        require_schema("data", "file:///d", {"labelSchema": OLD})
    assert (refused.value.failure.reason, refused.value.failure.field) == ("LabelSchemaMismatch", "data")
    require_schema("data", "file:///d", {"labelSchema": label_schema_digest()})
    require_schema("data", "file:///d", {})


def test_the_schema_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "show"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"schema {label_schema_digest()}"
    assert main(["labels", "show", "-o", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["digest"] == label_schema_digest()
    assert [entry["label"] for entry in shown["labels"]] == ["L1", "L2", "L3", "L4"]
