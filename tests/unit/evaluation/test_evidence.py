"""Evidence holds for exactly what it was made from, and nothing changed afterwards passes."""

import json
from pathlib import Path

import pytest
from unit.evaluation.world import benchmark, config, endpoint, model, pair, ref

from lore_core.artifacts import ArtifactError, ArtifactRef, publish
from lore_core.evaluation.evidence import Bound, EvidenceError, check_bound, read
from lore_core.evaluation.run import evaluate
from lore_core.evaluation.summary import summary
from lore_core.jobs.report import MAX_REPORT_BYTES
from lore_core.jobs.reporter import Reporter


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, ArtifactRef]:
    root = tmp_path_factory.mktemp("evidence")
    data = benchmark(root, [pair(row, answer="L4" if row % 4 else "L1") for row in range(60)])
    with endpoint() as served:
        result = evaluate(config(root, model(root), data), Reporter(None), served)
    return Path(result.uri.removeprefix("file://")), ArtifactRef(uri=result.uri, digest=result.digest)


@pytest.fixture
def report(made, tmp_path):
    return read(made[1], tmp_path / "copy").report


@pytest.mark.parametrize("name", ["report.json", "scores.jsonl"])
def test_a_changed_byte_is_refused(made, tmp_path, name):
    forged = tmp_path / "forged"
    forged.mkdir()
    for file in made[0].iterdir():
        (forged / file.name).write_bytes(file.read_bytes())
    (forged / name).write_bytes((forged / name).read_bytes().replace(b"L4", b"L3", 1).replace(b"Passed", b"Failed", 1))
    with pytest.raises(ArtifactError, match="does not match the manifest"):
        read(ref(forged, made[1].digest), tmp_path / "copy")


def test_evidence_made_anew_with_another_verdict_has_another_digest(made, tmp_path):
    forged = tmp_path / "forged-files"
    forged.mkdir()
    for file in ("report.json", "scores.jsonl"):
        (forged / file).write_bytes((made[0] / file).read_bytes().replace(b"Passed", b"Failed"))
    publish(forged, ref(tmp_path / "forged"), "evidence")
    with pytest.raises(ArtifactError, match="expected sha256"):
        read(ref(tmp_path / "forged", made[1].digest), tmp_path / "copy")


def test_another_kind_of_artifact_is_no_evidence(tmp_path):
    data = benchmark(tmp_path, [pair(0)])
    with pytest.raises(EvidenceError, match="is a benchmark, not evidence"):
        read(data, tmp_path / "copy")


def test_a_report_of_a_later_version_is_refused(made, tmp_path):
    later = tmp_path / "later-files"
    later.mkdir()
    document = json.loads((made[0] / "report.json").read_text()) | {"formatVersion": 2}
    (later / "report.json").write_text(json.dumps(document))
    with pytest.raises(EvidenceError, match="not a report of this version"):
        read(publish(later, ref(tmp_path / "later"), "evidence"), tmp_path / "copy")


def test_the_report_is_bound_to_everything_that_could_change_it(report):
    bound = report.bound.model_dump()
    assert set(bound) == {
        *("model", "endpoint", "tokenizer", "contract", "prompt", "label_schema"),
        *("rules", "benchmark", "gate_set", "training_data", "champion", "profile", "generation"),
    }
    assert all(
        bound[name] for name in bound if name not in ("endpoint", "rules", "training_data", "champion", "generation")
    )


@pytest.mark.parametrize("field", list(Bound.model_fields))
def test_a_verdict_is_not_taken_for_other_digests(report, field):
    other = "sha256:" + "9" * 64
    with pytest.raises(EvidenceError, match=f"{field} is .*, expected {other}; evaluate again"):
        check_bound(report, {field: other}, "file:///evidence")


def test_the_report_fits_its_config_map_however_many_gates_there_are(report):
    gate = report.gates[0].model_copy(update={"message": "ä" * 4000})
    crowded = report.model_copy(update={"gates": (gate,) * 64, "scores": report.scores * 20})
    found = summary(crowded, ArtifactRef(uri="file:///evidence", digest="sha256:" + "1" * 64))
    assert len(found["gates"]) == 64
    assert len(json.dumps(found, ensure_ascii=False).encode()) < MAX_REPORT_BYTES


def test_a_summary_that_fits_is_not_shortened(report):
    found = summary(report, ArtifactRef(uri="file:///evidence", digest="sha256:" + "1" * 64))
    assert len(found["scores"]) == len(report.scores)
    assert found["gates"][0]["message"] == report.gates[0].message
