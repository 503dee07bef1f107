"""The loss of an sft stage, on a model of the stage's own kind."""

from pathlib import Path
from typing import Any

import pytest

from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import RuleMode, SftStage
from lore_core.prompts import RuleSource
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.sft import SftModel, sft_kit

torch = pytest.importorskip("torch")


class Plain:
    """The model alone, in place of DeepSpeed's engine around it."""

    device = "cpu"

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, **inputs: Any) -> Any:
        return self.module(**inputs)


def test_shared_prefixes_leave_the_loss_and_a_heavier_label_changes_it(tmp_path: Path) -> None:
    encoder = write_tokenizer(vocabulary(), tmp_path)
    torch.manual_seed(3)
    small_model(BaseSettings(layers=2, width=64, heads=2, feed_forward=96), encoder).save_pretrained(str(tmp_path))
    pairs, rules = (
        list(World(17, Scale(1, 1, 1, 1)).pairs("train", "rules")),
        RuleSource(RuleMode.RETRIEVED, rulebook()),
    )

    def loss(**knobs: Any) -> float:
        spec = SftStage(**knobs)
        stage = SftModel(sft_kit(spec, encoder, pairs), tmp_path, pairs, rules, spec)
        return float(stage.loss(Plain(stage.model), list(range(12))).detach())

    assert loss(share_prefix=True) == pytest.approx(loss(), abs=1e-5)
    assert abs(loss(label_weight="5") - loss()) > 1e-4
    assert loss(label_weight="5") == pytest.approx(loss(label_weight="5", share_prefix=True), abs=1e-5)
