"""One seed: draw the world, fine-tune with `lore train`, score the gate split."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lore_core.artifacts import ArtifactRef, open_store
from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.benchmark.world import SUBSETS
from lore_core.evaluation.table import PairTable
from lore_core.jobs import Report, RuleMode, TrainConfig
from lore_core.jobs.config import Layout, Optimizer, SftStage
from lore_core.jobs.lora import Lora
from lore_core.prompts import ModelKit, RuleSource
from lore_core.records import LABELS, Pair, read_pairs

GATES: Final = "benchmark"


@dataclass(frozen=True)
class Settings:
    """What is trained on each seed; without `lora` all weights are."""

    scale: str
    rule_mode: RuleMode
    optimizer: Optimizer
    ranks: int
    layout: Layout = Layout.THINK_FIRST
    hand_over: str = "0"
    lora: Lora | None = None


def lore(*words: str, ranks: int = 1) -> None:
    """Run a verb of the command line, the way a pod does."""
    environment = {**os.environ, "LORE_NPROC": str(ranks)}
    subprocess.run([sys.executable, "-m", "lore_core", *words], check=True, env=environment)


def artifact(folder: Path) -> ArtifactRef:
    """An artifact on local disk with the digest it has now."""
    ref = ArtifactRef(uri=folder.absolute().as_uri())
    return ref.model_copy(update={"digest": open_store(ref).manifest().digest})


def drawn(root: Path, seed: int, scale: str) -> Path:
    """The world's artifacts of a seed, drawn once."""
    folder = root / f"world-{scale}-{seed}"
    if not (folder / "log").exists():
        lore("data", "generate", "--out", str(folder), "--seed", str(seed), "--scale", scale)
    return folder


def base_model(root: Path, world: Path, steps: int | None = None) -> Path:
    """The base model; the world's words and facts are equal for every seed, so one serves them all."""
    folder = root / "base"
    longer = () if steps is None else ("--steps", str(steps))
    lore("model", "pretrain", "--corpus", str(world / "corpus" / "corpus.txt"), "--out", str(folder), *longer)
    return folder


def trained(root: Path, world: Path, base: Path, seed: int, settings: Settings) -> Path:
    """The fine-tuned model's folder; what is there already is not trained again."""
    optimizer = settings.optimizer.model_copy(update={"seed": seed})
    spec = SftStage(
        layout=settings.layout,
        rule_mode=settings.rule_mode,
        optimizer=optimizer,
        hand_over=settings.hand_over,
        lora=settings.lora,
    )
    inputs = {name: artifact(world / name) for name in ("pairs", "rules")}
    key = sha256_digest(canonical_json([str(inputs), artifact(base).digest, spec.content_digest(), settings.ranks]))
    config = TrainConfig(
        job=f"quality-{seed}",
        stage="sft",
        base_model=artifact(base),
        data=inputs["pairs"],
        rule_set=inputs["rules"],
        workspace=ArtifactRef(uri=(root / "runs").absolute().as_uri()),
        input_key=key,
        spec=spec,
    )
    path, report = root / f"train-{seed}.json", root / f"train-{seed}-report.json"
    path.write_text(config.model_dump_json(by_alias=True), encoding="utf-8")
    lore("train", "--config", str(path), "--report", str(report), ranks=settings.ranks)
    found = Report.model_validate_json(report.read_text(encoding="utf-8"))
    print(
        f"{settings.layout}, seed {seed}: trained in {(found.last_updated - found.started_at).total_seconds():.0f} s",
        flush=True,
    )
    return Path(config.output.uri.removeprefix("file://"))


def scored(model: Path, world: Path, limit: int | None) -> PairTable:
    """The gate split's pairs with the model's answers; `limit` pairs a subset."""
    from lore_core.scoring.reference import TransformersScorer

    kit = ModelKit.load(model)
    rules = RuleSource.load(kit.contract.rule_mode, world / "rules")
    pairs = [pair for subset in SUBSETS for pair in some(world / GATES / f"{subset}.jsonl", limit)]
    scores = TransformersScorer(model).score([kit.render(pair, rules(pair)) for pair in pairs])
    return table(pairs, [int(answer) for answer in scores.probabilities.argmax(axis=1)])


def table(pairs: Sequence[Pair], answers: Sequence[int]) -> PairTable:
    """Answers as the evaluation's columns, with subset and capability cell as fields."""
    return PairTable.build(
        [pair.id for pair in pairs],
        [pair.query for pair in pairs],
        [LABELS.index(pair.groundtruth) for pair in pairs],
        answers,
        {"subset": [pair.subset for pair in pairs], "cell": [pair.needs.cell for pair in pairs]},
        [pair.flip_group or "" for pair in pairs],
    )


def some(path: Path, limit: int | None) -> list[Pair]:
    """The first pairs of a file."""
    return list(read_pairs(path))[:limit]
