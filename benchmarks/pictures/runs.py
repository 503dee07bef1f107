"""The steps of the benchmark as a pod runs them: a base that sees, fine-tuning of each arm, and its gate split scored."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.pictures.arms import Arm, shown
from benchmarks.quality.runs import artifact
from lore_core.artifacts import ArtifactRef, publish
from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import RuleMode, TrainConfig
from lore_core.jobs.config import Layout, Optimizer, SftStage
from lore_core.jobs.selection import Selection, TuneMetric
from lore_core.prompts import ModelKit
from lore_core.records import Pair, write_pairs
from lore_core.training.curves import CURVES_NAME, TrainingCurves

VISUAL: Final = "visual"
SUBSETS: Final = (VISUAL, "general")
_TUNE_PAIRS: Final = 64

Answers = list[tuple[Pair, int]]
"""Pairs and the labels, 0..3, that a model gives them."""


@dataclass(frozen=True)
class Size:
    """Blocks of each split, steps of the tower's lesson, of fine-tuning, and training processes."""

    blocks: Scale
    lesson: int
    optimizer: Optimizer
    ranks: int


@dataclass(frozen=True)
class Trained:
    """An arm's model, and what its checkpoints scored on the tune split: step and Accuracy@2."""

    folder: Path
    curve: list[tuple[int, float]]


def pairs_of(world: World, split: str) -> list[Pair]:
    """The pairs of a split: those that need the picture, and those that have none."""
    return [pair for subset in SUBSETS for pair in world.pairs(split, subset)]


def seeing_base(root: Path, text: Path, world: World, steps: int) -> Path:
    """The start of every arm: the text base with a tower that has learned to say what training pictures show."""
    pictures, out = root / "pictures.jsonl", root / "base"
    write_pairs(pictures, (pair for pair in world.pairs("train", VISUAL)))
    where = ["--base", str(text), "--pictures", str(pictures), "--out", str(out)]
    _lore("model", "add-vision", *where, "--steps", str(steps))
    return out


def trained(root: Path, base: Path, world: World, arm: Arm, size: Size) -> Trained:
    """The arm's fine-tuned model, the best of its checkpoints; what is there already is not trained again."""
    name = f"{arm.name.lower()}-{world.seed}"
    data = _published(root / f"pairs-{name}", world, arm)
    optimizer = size.optimizer.model_copy(update={"seed": world.seed})
    spec = SftStage(
        layout=Layout.THINK_FIRST,
        rule_mode=RuleMode.NONE,
        optimizer=optimizer,
        selection=Selection(metric=TuneMetric.ACCURACY2, pairs=_TUNE_PAIRS),
    )
    config = TrainConfig(
        job=f"pictures-{world.seed}",
        stage=arm.name.lower(),
        base_model=artifact(base),
        data=data,
        workspace=ArtifactRef(uri=(root / "runs").absolute().as_uri()),
        input_key=sha256_digest(canonical_json([str(data.digest), str(artifact(base).digest), spec.content_digest()])),
        spec=spec,
    )
    path, report = root / f"train-{name}.json", root / f"train-{name}-report.json"
    path.write_text(config.model_dump_json(by_alias=True), encoding="utf-8")
    _lore("train", "--config", str(path), "--report", str(report), ranks=size.ranks)
    folder = Path(config.output.uri.removeprefix("file://"))
    curves = TrainingCurves.read(folder / CURVES_NAME).curves
    return Trained(folder, [(int(step), value) for step, value in curves.get("tuneAccuracy2", ())])


def answers(model: Path, world: World, arm: Arm) -> Answers:
    """The gate split as the arm sees it, with the model's answers."""
    from lore_core.scoring.reference import TransformersScorer

    pairs, kit = shown(pairs_of(world, "gate"), arm, world.seed), ModelKit.load(model)
    scores = TransformersScorer(model).score([kit.render(pair) for pair in pairs])
    return [(pair, int(answer)) for pair, answer in zip(pairs, scores.probabilities.argmax(axis=1), strict=True)]


def _published(folder: Path, world: World, arm: Arm) -> ArtifactRef:
    """The arm's pairs as an artifact."""
    if not folder.exists():
        source = folder.with_name(f"{folder.name}-files")
        source.mkdir()
        for split in ("train", "tune"):
            write_pairs(source / f"{split}.jsonl", shown(pairs_of(world, split), arm, world.seed))
        publish(source, ArtifactRef(uri=folder.absolute().as_uri()), "pairs")
    return artifact(folder)


def _lore(*words: str, ranks: int = 1) -> None:
    """Run a verb the way a pod does; what it prints goes to stderr, so that stdout stays the report."""
    environment = {**os.environ, "LORE_NPROC": str(ranks), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "lore_core", *words], check=True, env=environment, stdout=sys.stderr)
