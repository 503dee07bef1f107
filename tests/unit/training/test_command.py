"""`lore train` refuses bad input before a rank starts, and says where it is."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.cli import main
from lore_core.jobs import Report, TrainConfig
from lore_core.training.export import QUANTIZED

from .conftest import KEY

Build = Callable[..., TrainConfig]


def ran(tmp_path: Path, config: TrainConfig) -> tuple[int, Report]:
    path, report = tmp_path / "config.json", tmp_path / "report.json"
    path.write_text(config.model_dump_json(by_alias=True))
    status = main(["train", "--config", str(path), "--report", str(report)])
    return status, Report.model_validate_json(report.read_text())


def test_a_bad_line_ends_the_stage_with_file_line_and_field(
    tmp_path: Path, pairs_folder: Path, train_config: Build
) -> None:
    lines = (pairs_folder / "tune.jsonl").read_text().splitlines()
    lines[1] = lines[1].replace('"L2"', '"L5"')
    (pairs_folder / "tune.jsonl").write_text("\n".join(lines) + "\n")
    status, report = ran(tmp_path, train_config(pairs_folder))
    assert status == 1
    assert report.failure is not None
    found = report.failure
    assert (found.reason, found.file, found.line, found.field) == ("BadRecord", "tune.jsonl", 2, "groundtruth")
    assert found.message.startswith((tmp_path / "pairs").as_uri() + "/tune.jsonl:2: groundtruth")


def test_a_digest_that_does_not_match_ends_the_stage(tmp_path: Path, pairs_folder: Path, train_config: Build) -> None:
    config = train_config(pairs_folder)
    wrong = config.data.model_copy(update={"digest": "sha256:" + "0" * 64})
    status, report = ran(tmp_path, config.model_copy(update={"data": wrong}))
    assert (status, report.failure and report.failure.reason) == (1, "DigestMismatch")


def test_an_artifact_of_another_kind_is_refused_by_field(
    tmp_path: Path, pairs_folder: Path, train_config: Build
) -> None:
    other = publish(pairs_folder, ArtifactRef(uri=(tmp_path / "other").as_uri()), "benchmark")
    status, report = ran(tmp_path, train_config(pairs_folder, data=other))
    assert status == 1
    assert report.failure is not None
    assert (report.failure.reason, report.failure.field) == ("WrongArtifactKind", "data")


def test_retrieved_rules_without_a_rule_set_are_refused(
    tmp_path: Path, pairs_folder: Path, train_config: Build
) -> None:
    config = train_config(pairs_folder, spec={"kind": "sft", "rule_mode": "Retrieved"})
    status, report = ran(tmp_path, config)
    assert (status, report.failure and report.failure.reason) == (1, "MissingRuleSet")


def test_no_training_pairs_at_all_are_refused(tmp_path: Path, pairs_folder: Path, train_config: Build) -> None:
    (pairs_folder / "train.jsonl").write_text("")
    status, report = ran(tmp_path, train_config(pairs_folder))
    assert status == 1
    assert report.failure is not None
    assert "train.jsonl: holds no pair" in report.failure.message


@pytest.mark.parametrize("asked", ["selection", "passAtK"])
def test_a_stage_that_measures_needs_a_tune_split(
    tmp_path: Path, pairs_folder: Path, train_config: Build, asked: str
) -> None:
    (pairs_folder / "tune.jsonl").unlink()
    spec = {"kind": "sft", "rule_mode": "None", asked: {}}
    status, report = ran(tmp_path, train_config(pairs_folder, spec=spec))
    assert (status, report.failure and report.failure.reason) == (1, "BadData")
    assert report.failure is not None
    assert (report.failure.file, report.failure.field) == ("tune.jsonl", f"spec.{asked}")


def test_a_teacher_is_calibrated_on_a_split_of_its_own(tmp_path: Path, pairs_folder: Path, train_config: Build) -> None:
    (pairs_folder / "calibration.jsonl").unlink()
    folder = tmp_path / "teacher-source"
    folder.mkdir()
    teacher = publish(folder, ArtifactRef(uri=(tmp_path / "teacher").as_uri()), "model")
    base = ArtifactRef(uri=(tmp_path / "base").as_uri())
    spec = {"kind": "distill", "base": base, "teacher": teacher, "calibrate_teacher": True}
    status, report = ran(tmp_path, train_config(pairs_folder, spec=spec))
    assert status == 1
    assert report.failure is not None
    found = report.failure
    assert (found.reason, found.file, found.field) == ("BadData", "calibration.jsonl", "spec.calibrateTeacher")
    assert "add some or leave calibrateTeacher out" in found.message


def test_a_causal_student_of_an_encoder_is_refused(tmp_path: Path, pairs_folder: Path, train_config: Build) -> None:
    folder = tmp_path / "encoder-source"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
    encoder = publish(folder, ArtifactRef(uri=(tmp_path / "encoder").as_uri()), "base-model")
    spec = {"kind": "distill", "student": "Causal", "base": encoder.model_dump()}
    status, report = ran(tmp_path, train_config(pairs_folder, spec=spec))
    assert status == 1
    assert report.failure is not None
    assert (report.failure.reason, report.failure.field) == ("BadBaseModel", "spec.base")
    assert "is BertModel; student Causal needs a causal language model" in report.failure.message


def test_a_quantised_model_is_no_base_to_train_from(tmp_path: Path, pairs_folder: Path, train_config: Build) -> None:
    folder, to = tmp_path / "small-source", ArtifactRef(uri=(tmp_path / "small").as_uri())
    folder.mkdir()
    small = publish(folder, to, "model", {}, {QUANTIZED: {"scheme": "W8A8Int8", "from": KEY}})
    status, report = ran(tmp_path, train_config(pairs_folder, base_model=small))
    assert status == 1
    assert report.failure is not None
    assert (report.failure.reason, report.failure.field) == ("BadBaseModel", "baseModel")
    assert "name the model that it was made of" in report.failure.message


def test_pairs_of_another_label_schema_are_refused(tmp_path: Path, pairs_folder: Path, train_config: Build) -> None:
    to, metadata = ArtifactRef(uri=(tmp_path / "other").as_uri()), {"labelSchema": "sha256:" + "0" * 64}
    status, report = ran(tmp_path, train_config(pairs_folder, data=publish(pairs_folder, to, "pairs", {}, metadata)))
    assert (status, report.failure and report.failure.reason) == (1, "LabelSchemaMismatch")


def test_an_output_that_is_there_is_reused(tmp_path: Path, pairs_folder: Path, train_config: Build) -> None:
    config = train_config(pairs_folder)
    done = publish(pairs_folder, config.output, "model", metadata={"finalLoss": "0.1"})
    status, report = ran(tmp_path, config)
    assert status == 0
    assert report.result is not None
    assert (report.result.reused, report.result.digest, report.summary["finalLoss"]) == (True, done.digest, "0.1")


def test_input_is_judged_before_a_weights_library_is_imported(
    tmp_path: Path, pairs_folder: Path, train_config: Build
) -> None:
    (pairs_folder / "train.jsonl").write_text("{}\n")
    config = tmp_path / "config.json"
    config.write_text(train_config(pairs_folder).model_dump_json(by_alias=True))
    code = (
        "import sys; from lore_core.cli import main; "
        f"status = main(['train', '--config', {str(config)!r}]); "
        "print(status, [m for m in ('torch', 'transformers', 'deepspeed') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "1 []"


def test_a_config_with_an_unknown_field_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"job": "j", "surprise": 1}))
    assert main(["train", "--config", str(path)]) == 1
    assert "surprise" in capsys.readouterr().err
