"""`lore train` from published inputs to published models that say how they are to be served."""

from pathlib import Path
from typing import Any

import pytest

from lore_core.artifacts import ArtifactRef, open_store, verify
from lore_core.cli import main
from lore_core.jobs import Phase, Report, RuleMode
from lore_core.prompts import ModelKit, PromptLayout, TextEncoder, build_contract
from lore_core.records import write_pairs
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.base_command import publish_packaged

from .site import WORLD, Site

SHORT: dict[str, Any] = {"batch_size": 4, "max_steps": 8, "warmup_steps": 1, "checkpoint_every": 100}


def fetched(report: Report, folder: Path) -> Path:
    assert report.phase is Phase.SUCCEEDED
    assert report.result is not None
    verify(ArtifactRef(uri=report.result.uri, digest=report.result.digest), folder)
    return folder


def test_a_language_model_and_then_its_student(site: Site, tmp_path: Path) -> None:
    spec = {"kind": "sft", "optimizer": SHORT, "pass_at_k": {"pairs": 6, "samples": 4}}
    sft = site.config("sft", spec, deepspeed={"zero_stage": 3})
    report = site.run("sft", sft)
    teacher = ModelKit.load(fetched(report, tmp_path / "teacher"))
    assert (teacher.contract.layout, teacher.contract.rule_mode) == (PromptLayout.THINK_FIRST, RuleMode.RETRIEVED)
    assert report.resolved == {"baseModel": site.base.digest, "data": site.pairs.digest, "ruleSet": site.rules.digest}
    assert len(report.summary["curves"]["loss"]) == 8
    sampled = ("tunePassAt1", "tuneMajorityAtK", "tunePassAtKAboveChance", "tunePassAtKChecked")
    assert [[step for step, _ in report.summary["curves"][name]] for name in sampled] == [[8]] * 4
    assert set(sampled) <= report.measured.keys()
    assert (
        f"| `s` | tunePassAt1 | {report.summary['tunePassAt1']} | 6 | 4 |"
        in (tmp_path / "teacher/README.md").read_text()
    )

    digest, _ = publish_packaged(site.root / "minilm")
    base = ArtifactRef(uri=(site.root / "minilm").as_uri(), digest=digest)
    distill = {"kind": "distill", "base": base, "teacher": sft.output, "optimizer": {**SHORT, "max_steps": 2}}
    student = fetched(site.run("distill", site.config("distill", distill)), tmp_path / "student")
    kit = ModelKit.load(student)
    pair = next(WORLD.pairs("tune", "general"))
    scores = TransformersScorer(student).score([kit.render(pair)])
    assert (kit.contract.layout, scores.probabilities.shape) == (PromptLayout.CLASSIFIER, (1, 4))


def test_a_small_language_model_is_a_student_too(site: Site, tmp_path: Path) -> None:
    teacher = site.config("wise", {"kind": "sft", "layout": "LabelFirst", "optimizer": SHORT})
    site.run("wise", teacher)
    selection = {"metric": "LogLikelihood", "pairs": 8}
    spec = {"kind": "distill", "student": "Causal", "base": site.base, "teacher": teacher.output, "optimizer": SHORT}
    report = site.run("small", site.config("small", {**spec, "selection": selection}), ranks=2)
    kit = ModelKit.load(fetched(report, tmp_path / "student"))
    assert kit.contract.layout is PromptLayout.LABEL_FIRST
    assert open_store(site.config("small", spec).output).manifest().metadata["role"] == "Generative"
    assert weight_names(tmp_path / "student") == weight_names(site.root / "base")
    pair = next(WORLD.pairs("tune", "general"))
    assert TransformersScorer(tmp_path / "student").score([kit.render(pair)]).probabilities.shape == (1, 4)


def test_a_two_tower_is_a_student_too(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = site.config("sure", {"kind": "sft", "layout": "LabelFirst", "optimizer": SHORT})
    site.run("sure", teacher)
    digest, _ = publish_packaged(site.root / "towers-base")
    base = ArtifactRef(uri=(site.root / "towers-base").as_uri(), digest=digest)
    selection = {"metric": "LogLikelihood", "pairs": 8}
    steps = {**SHORT, "max_steps": 3, "learning_rate": "0.001"}
    spec = {"kind": "distill", "student": "TwoTower", "base": base, "teacher": teacher.output, "optimizer": steps}
    config = site.config("apart", {**spec, "selection": selection}, deepspeed={"zero_stage": 3})
    report = site.run("apart", config, ranks=2)
    folder = fetched(report, tmp_path / "student")
    contract, metadata = ModelKit.load(folder).contract, open_store(config.output).manifest().metadata
    assert contract.towers is not None
    assert (metadata["role"], metadata["layout"]) == ("TwoTower", "TwoTower")
    untrained = build_contract(TextEncoder.load(folder), PromptLayout.TWO_TOWER, RuleMode.RETRIEVED, 128)
    assert untrained.towers is not None
    assert untrained.model_copy(update={"towers": contract.towers}) == contract
    assert {*contract.towers.cut_points} & {*untrained.towers.cut_points} == set()
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: sentence-similarity" in card
    assert f"{contract.towers.scale}, {' '.join(contract.towers.cut_points)}" in card

    write_pairs(tmp_path / "pairs.jsonl", WORLD.pairs("tune", "general"))
    where = ["--model", str(folder), "--pairs", str(tmp_path / "pairs.jsonl"), "--rules", str(site.root / "rules")]
    assert main(["model", "check", *where]) == 0
    assert "layout TwoTower" in capsys.readouterr().out


def test_a_student_hears_nothing_of_the_teacher_about_queries_of_other_splits(
    site: Site, labeller: ArtifactRef
) -> None:
    train, tune, calibration = (list(WORLD.pairs(split, "general"))[:8] for split in ("train", "tune", "calibration"))
    leaked = [pair.model_copy(update={"id": f"leaked-{pair.id}"}) for pair in (*tune[:2], *calibration[:1])]

    def fill(folder: Path) -> None:
        for name, pairs in (("train", train + leaked), ("tune", tune), ("calibration", calibration)):
            write_pairs(folder / f"{name}.jsonl", pairs)

    spec = {"kind": "distill", "student": "Causal", "base": site.base, "teacher": labeller, "optimizer": SHORT}
    knobs = {"margin_weight": "0.5", "weigh_teacher": True, "calibrate_teacher": True}
    data = site.publish("leaking", "pairs", fill)
    report = site.run("kept", site.config("kept", {**spec, **knobs}, data=data), ranks=2)
    assert (report.summary["pairs"], report.summary["untaughtPairs"]) == (11, 3)
    assert float(str(report.summary["teacherTemperature"])) > 0
    plain = site.run("plain", site.config("plain", spec))
    assert not {"untaughtPairs", "teacherTemperature"} & plain.summary.keys()


def weight_names(folder: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(str(folder / "model.safetensors"), framework="pt") as weights:
        return set(weights.keys())


def test_a_finished_stage_is_found_again_and_not_repeated(site: Site, tmp_path: Path) -> None:
    spec = {"kind": "sft", "layout": "LabelFirst", "optimizer": SHORT, "lora": {"rank": 4}}
    config = site.config("again", spec, deepspeed={"zero_stage": 3})
    first, second = site.run("again", config), site.run("again", config)
    assert first.result is not None
    assert second.result == first.result.model_copy(update={"reused": True})
    manifest = open_store(config.output).manifest()
    assert manifest.metadata["layout"] == "LabelFirst"
    verify(config.output, tmp_path / "model")
    assert "LoRA of rank 4 and alpha 16" in (tmp_path / "model" / "README.md").read_text()
    assert weight_names(tmp_path / "model") == weight_names(site.root / "base")


def test_the_knobs_of_fine_tuning_train_over_two_ranks(site: Site) -> None:
    knobs = {"share_prefix": True, "balance_labels": True, "curriculum_share": "0.5", "label_weight": "2"}
    config = site.config("knobs", {"kind": "sft", "optimizer": SHORT, **knobs}, deepspeed={"dtype": "bfloat16"})
    report = site.run("knobs", config, ranks=2)
    losses = [loss for _, loss in report.summary["curves"]["loss"]]
    assert len(losses) == 8
    assert losses[-1] < losses[0]
