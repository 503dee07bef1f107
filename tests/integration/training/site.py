"""A place where stages are trained as pods train them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lore_core.artifacts import ArtifactRef, publish
from lore_core.artifacts.manifest import sha256_digest
from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import Report, TrainConfig
from lore_core.prompts import TextEncoder
from lore_core.records import write_pairs
from lore_core.rules import RULES_NAME
from lore_core.training.base import BaseSettings, small_model, write_tokenizer

WORLD = World(11, Scale(train=2, tune=1, calibration=1, gate=0))


class Site:
    """A folder with published inputs, and `lore train` run on them the way a pod runs it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = self.publish("base", "base-model", write_base)
        self.pairs = self.publish("pairs", "pairs", _fill_pairs)
        self.rules = self.publish("rules", "rule-set", _fill_rules)

    def publish(self, name: str, kind: str, fill: Callable[[Path], object]) -> ArtifactRef:
        """What `fill` puts into an empty folder, as an artifact of that name."""
        source = self.root / f"{name}-source"
        source.mkdir()
        fill(source)
        return publish(source, ArtifactRef(uri=(self.root / name).as_uri()), kind)

    def config(self, name: str, spec: dict[str, Any], **changes: Any) -> TrainConfig:
        """A stage config; every name has a workspace of its own."""
        values: dict[str, Any] = {
            "job": "j",
            "stage": "s",
            "base_model": self.base,
            "data": self.pairs,
            "rule_set": self.rules,
            "workspace": ArtifactRef(uri=(self.root / name).as_uri()),
            "input_key": sha256_digest(b"equal work"),
            "spec": spec,
        }
        return TrainConfig.model_validate(values | changes)

    def start(self, name: str, config: TrainConfig, ranks: int) -> "subprocess.Popen[bytes]":
        """`lore train` as a process of its own; one thread a rank, so that sums have one order."""
        path = self.root / f"{name}.json"
        path.write_text(config.model_dump_json(by_alias=True))
        scratch = self.root / "scratch"  # what a killed launcher leaves there goes with the site
        scratch.mkdir(exist_ok=True)
        environment = {**os.environ, "LORE_NPROC": str(ranks), "OMP_NUM_THREADS": "1", "TMPDIR": str(scratch)}
        command = [
            sys.executable,
            "-m",
            "lore_core",
            "train",
            "--config",
            str(path),
            "--report",
            str(self.report_path(name)),
        ]
        with (self.root / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def run(self, name: str, config: TrainConfig, ranks: int = 1) -> Report:
        """Run a stage to its end and return its report."""
        status = self.start(name, config, ranks).wait()
        assert status == 0, (self.root / f"{name}.log").read_text()[-3000:]
        return self.report(name)

    def report_path(self, name: str) -> Path:
        return self.root / f"{name}-report.json"

    def report(self, name: str) -> Report:
        return Report.model_validate_json(self.report_path(name).read_text())


def write_base(folder: Path, dropout: float = 0.0) -> TextEncoder:
    """Fill a folder with a small untrained language model; one with dropout draws random numbers at every step."""
    import torch

    torch.manual_seed(1)
    encoder = write_tokenizer(vocabulary(), folder)
    model = small_model(BaseSettings(layers=1, width=64, heads=2, feed_forward=64), encoder)
    model.config.attention_dropout = dropout
    model.save_pretrained(str(folder))
    return encoder


def _fill_pairs(folder: Path) -> None:
    for split in ("train", "tune", "calibration"):
        write_pairs(folder / f"{split}.jsonl", WORLD.pairs(split, "general"))


def _fill_rules(folder: Path) -> None:
    (folder / RULES_NAME).write_bytes(rulebook().to_bytes())
