"""Tuning by adapters: nothing else changes, and the published weights answer as the adapted model does."""

import json
from pathlib import Path
from typing import Any

import pytest

from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import RuleMode, SftStage
from lore_core.jobs.errors import JobError
from lore_core.prompts import RuleSource
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.export import write_model
from lore_core.training.lora import merged_weights
from lore_core.training.sft import SftModel, sft_kit
from lore_core.training.together import copied

from .test_sft import Plain

torch = pytest.importorskip("torch")

PAIRS = list(World(17, Scale(1, 1, 1, 1)).pairs("train", "rules"))
SETTINGS = BaseSettings(layers=2, width=64, heads=2, feed_forward=96)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    encoder = write_tokenizer(vocabulary(), folder)
    torch.manual_seed(3)
    small_model(SETTINGS, encoder).save_pretrained(str(folder))
    return folder


def stage(base: Path, **lora: Any) -> SftModel:
    from lore_core.prompts import TextEncoder

    spec = SftStage(layout="LabelFirst", lora=lora)
    rules = RuleSource(RuleMode.RETRIEVED, rulebook())
    return SftModel(sft_kit(spec, TextEncoder.load(base), PAIRS), base, PAIRS, rules, spec)


def trained(base: Path, **lora: Any) -> SftModel:
    """After a few steps of what may be trained."""
    found = stage(base, **lora)
    adam = torch.optim.AdamW([p for p in found.model.parameters() if p.requires_grad], lr=1e-2)
    for step in range(4):
        adam.zero_grad()
        found.loss(Plain(found.model), list(range(4 * step, 4 * step + 4))).backward()
        adam.step()
    return found


def logits(model: Any) -> Any:
    ids = torch.arange(20)[None] + 7
    with torch.inference_mode():
        return model.eval()(input_ids=ids).logits


def test_only_adapters_change_and_they_start_as_nothing(base: Path) -> None:
    fresh, done = stage(base, rank=4), trained(base, rank=4)
    assert torch.equal(logits(fresh.model), logits(stage_without(base)))
    before, after = fresh.model.state_dict(), done.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".lora_" in name}
    assert len(changed) == 2 * 7 * SETTINGS.layers


def stage_without(base: Path) -> Any:
    from lore_core.training.sft import load_causal

    return load_causal(base, 1)


@pytest.mark.parametrize("lora", [{"rank": 4, "alpha": 32}, {"rank": 2, "targets": ["q_proj", "down_proj"]}])
def test_the_published_weights_answer_as_the_adapted_model(base: Path, tmp_path: Path, lora: dict[str, Any]) -> None:
    done = trained(base, **lora)
    adapted = logits(done.model)
    write_model(done.model, merged_weights(done.model, copied(done.model.state_dict())), done.kit, base, tmp_path)
    published = stage_without(tmp_path)
    assert torch.allclose(logits(published), adapted, atol=1e-5)
    assert not torch.allclose(logits(published), logits(stage_without(base)), atol=1e-2)
    assert names(tmp_path) == names(base)
    assert not list(tmp_path.glob("adapter*"))
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["Qwen3ForCausalLM"]


def names(folder: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(str(folder / "model.safetensors"), framework="pt") as weights:
        return set(weights.keys())


@pytest.mark.parametrize("name", ["query_key_value", "lm_head"])
def test_a_layer_that_the_model_lacks_or_ties_to_its_embeddings_is_named(base: Path, name: str) -> None:
    with pytest.raises(JobError, match=rf"no linear layer '{name}' to adapt; it has .*q_proj") as caught:
        stage(base, targets=["q_proj", name])
    assert caught.value.failure.field == "spec.lora.targets"
