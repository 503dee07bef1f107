"""What a stage publishes is what vLLM serves: the label probabilities that transformers computes of the same files."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lore_core.artifacts import ArtifactRef, verify
from lore_core.jobs import Report, ServingProfile
from lore_core.prompts import ModelKit, RenderedPrompt, RuleSource
from lore_core.scoring.client import VllmClient
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import LabelScores
from lore_core.scoring.server import LocalServer
from lore_core.training.sft import load_causal

from .site import WORLD, Site

pytestmark = [pytest.mark.serving, pytest.mark.usefixtures("serving_environment")]

TOLERANCE = 1e-4
PROFILE = ServingProfile(image="local", dtype="float32", max_model_len=160)
OPTIMIZER: dict[str, Any] = {"batch_size": 8, "max_steps": 12, "warmup_steps": 1, "learning_rate": "0.01"}


def fetched(report: Report, folder: Path) -> Path:
    assert report.result is not None
    verify(ArtifactRef(uri=report.result.uri, digest=report.result.digest), folder)
    return folder


def prompts_of(site: Site, kit: ModelKit) -> list[RenderedPrompt]:
    rules = RuleSource.load(kit.contract.rule_mode, site.root / "rules")
    return [kit.render(pair, rules(pair)) for pair in WORLD.pairs("tune", "general")]


def served_scores(folder: Path, prompts: list[RenderedPrompt]) -> LabelScores:
    async def scored(url: str, name: str) -> LabelScores:
        async with VllmClient(ModelKit.load(folder), url, name, concurrency=16) as client:
            return await client.score(prompts)

    with LocalServer(folder, PROFILE) as server:
        return asyncio.run(scored(server.base_url, server.model))


def assert_served_alike(folder: Path, prompts: list[RenderedPrompt]) -> LabelScores:
    own, served = TransformersScorer(folder).score(prompts), served_scores(folder, prompts)
    assert np.abs(served.probabilities - own.probabilities).max() < TOLERANCE
    assert np.abs(served.outside - own.outside).max() < TOLERANCE
    return own


def test_merged_adapters_are_served_as_transformers_computes_them(site: Site, tmp_path: Path) -> None:
    spec = {"kind": "sft", "layout": "LabelFirst", "optimizer": OPTIMIZER, "lora": {"rank": 4}}
    folder = fetched(site.run("adapted", site.config("adapted", spec)), tmp_path / "model")
    kit = ModelKit.load(folder)
    prompts = prompts_of(site, kit)
    own = assert_served_alike(folder, prompts)
    before = TransformersScorer.of(kit, load_causal(site.root / "base", kit.encoder.size).eval()).score(prompts)
    assert np.abs(own.outside - before.outside).min() > 100 * TOLERANCE  # what was trained is what is served


def test_a_causal_student_is_scored_by_its_label_tokens(site: Site, tmp_path: Path) -> None:
    spec = {"kind": "distill", "student": "Causal", "base": site.base, "optimizer": OPTIMIZER}
    folder = fetched(site.run("student", site.config("student", spec)), tmp_path / "model")
    assert_served_alike(folder, prompts_of(site, ModelKit.load(folder)))
