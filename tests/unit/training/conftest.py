from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.jobs import TrainConfig
from lore_core.records import Pair, TraceStep, write_pairs

KEY = "sha256:" + "1" * 64


def pair(number: int, **changes: Any) -> Pair:
    values: dict[str, Any] = {
        "id": f"p{number}",
        "query": "red shirt",
        "title": "blue shirt",
        "item_id": f"i{number}",
        "groundtruth": "L2",
        "subset": "general",
        "trace": (TraceStep(dimension="colour", demand="red", evidence="blue", verdict="conflict"),),
    }
    return Pair.model_validate(values | changes)


@pytest.fixture
def pairs_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs-source"
    folder.mkdir()
    for place, name in enumerate(("train", "tune", "calibration")):
        write_pairs(folder / f"{name}.jsonl", [pair(10 * place + n) for n in range(3)])
    return folder


@pytest.fixture
def train_config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """Builds a config whose base model and pairs are published folders of the test."""

    def build(pairs: Path, **changes: Any) -> TrainConfig:
        base = tmp_path / "base-source"
        base.mkdir(exist_ok=True)
        (base / "config.json").write_text("{}")
        values: dict[str, Any] = {
            "job": "j",
            "stage": "sft",
            "base_model": publish(base, ArtifactRef(uri=(tmp_path / "base").as_uri()), "base-model"),
            "data": publish(pairs, ArtifactRef(uri=(tmp_path / "pairs").as_uri()), "pairs"),
            "workspace": ArtifactRef(uri=(tmp_path / "workspace").as_uri()),
            "input_key": KEY,
            "spec": {"kind": "sft", "rule_mode": "None"},
        }
        return TrainConfig.model_validate(values | changes)

    return build
