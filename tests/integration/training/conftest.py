import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.artifacts.manifest import sha256_digest
from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import Report, TrainConfig
from lore_core.records import write_pairs
from lore_core.rules import RULES_NAME
from lore_core.training.base import BaseSettings, small_model, write_tokenizer

WORLD = World(11, Scale(train=2, tune=1, calibration=1, gate=0))


class Site:
    """A folder with published inputs, and `lore train` run on them the way a pod runs it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = self._publish("base", "base-model", _fill_base)
        self.pairs = self._publish("pairs", "pairs", _fill_pairs)
        self.rules = self._publish("rules", "rule-set", _fill_rules)

    def _publish(self, name: str, kind: str, fill: Callable[[Path], None]) -> ArtifactRef:
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
        environment = {**os.environ, "LORE_NPROC": str(ranks), "OMP_NUM_THREADS": "1"}
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


def _fill_base(folder: Path) -> None:
    import torch

    torch.manual_seed(1)
    settings = BaseSettings(layers=1, width=64, heads=2, feed_forward=64)
    small_model(settings, write_tokenizer(vocabulary(), folder)).save_pretrained(str(folder))


def _fill_pairs(folder: Path) -> None:
    for split in ("train", "tune", "calibration"):
        write_pairs(folder / f"{split}.jsonl", WORLD.pairs(split, "general"))


def _fill_rules(folder: Path) -> None:
    (folder / RULES_NAME).write_bytes(rulebook().to_bytes())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("training"))
