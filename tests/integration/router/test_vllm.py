"""The head job and the router against a real vLLM: what was scored offline is what the tail would have answered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.router.world import RunningRouter, Warehouse

from lore_core.artifacts import ArtifactRef, publish
from lore_core.cli import main
from lore_core.headcache import Features
from lore_core.jobs.config import HeadBuildConfig, RuleMode, ServingProfile
from lore_core.prompts import ModelKit, PromptLayout, build_contract
from lore_core.prompts.templates import LABEL_TOKENS
from lore_core.router.config import PinnedRef, RouterConfig
from lore_core.scoring.server import LocalServer, ServedModel
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.export import write_model

pytestmark = [pytest.mark.serving, pytest.mark.usefixtures("serving_environment")]

PROFILE = ServingProfile(image="local", dtype="float32", max_model_len=128)
QUERY = "red shirt"
ITEMS = {
    "i1": Features("red cotton shirt", "acme", {"size": "m"}),
    "i2": Features("blue lamp"),
    "i3": Features("red kettle"),
}
WORDS = ["red blue shirt lamp kettle cotton acme size m query item"]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return Warehouse(tmp_path_factory.mktemp("warehouse"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, warehouse: Warehouse) -> PinnedRef:
    """A think-first model of the small base's shape, random weights spread widely enough to have no near ties."""
    import torch

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("model")
    encoder = write_tokenizer(WORDS, folder)
    weights = small_model(BaseSettings(), encoder)
    weights.config.tie_word_embeddings = False
    weights.lm_head.weight = torch.nn.Parameter(torch.randn(encoder.size, BaseSettings().width) / 3)
    with torch.no_grad():
        weights.lm_head.weight[[encoder.control(token) for token in LABEL_TOKENS]] *= 2
    contract = build_contract(encoder, PromptLayout.THINK_FIRST, RuleMode.NONE, 48)
    assert contract.trace is not None
    contract = contract.model_copy(update={"trace": contract.trace.model_copy(update={"max_tokens": 8})})
    write_model(weights, weights.state_dict(), ModelKit(contract, encoder), folder, folder / "model")
    ref = publish(folder / "model", ArtifactRef(uri=f"file://{warehouse.root}/model"), "model")
    return PinnedRef.model_validate(ref.model_dump())


@pytest.fixture(scope="module")
def build(model: PinnedRef, warehouse: Warehouse) -> HeadBuildConfig:
    candidates = json.dumps({"query": QUERY, "item_ids": ["i1", "i2"]}) + "\n"
    return HeadBuildConfig(
        deployment="search",
        model=model,
        profile=PROFILE,
        candidates=warehouse.publish("candidates", {"candidates.jsonl": candidates.encode()}),
        items=warehouse.items(ITEMS),
        workspace=ArtifactRef(uri=f"file://{warehouse.root}/workspace"),
        input_key="sha256:" + "7" * 64,
    )


@pytest.fixture(scope="module")
def head(build: HeadBuildConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of `lore head build`."""
    folder = tmp_path_factory.mktemp("head")
    (folder / "config.json").write_text(build.model_dump_json(by_alias=True))
    words = ["head", "build", "--config", str(folder / "config.json"), "--report", str(folder / "report.json")]
    assert main(words) == 0
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def served(model: PinnedRef, head: dict[str, Any]) -> Iterator[ServedModel]:
    """The model as the tail's predictor; started after the head job, so that one engine runs at a time."""
    with LocalServer(Path(model.uri.removeprefix("file://")), PROFILE, name="tail") as server:
        yield server


def config(warehouse: Warehouse, build: HeadBuildConfig, served: ServedModel, head: dict[str, Any]) -> RouterConfig:
    predictor = {
        "url": served.base_url, "modelName": served.model, "kit": build.model.model_dump(), "route": "Completions",
        "deadlineMs": 60_000,
    }  # fmt: skip
    composition = {
        "revision": "r1",
        "weights": {"head": 100, "torso": 100, "tail": 100},
        "strata": warehouse.strata({QUERY: "head"}).model_dump(),
        "items": build.items.model_dump(),
        "head": {"uri": head["result"]["uri"], "digest": head["result"]["digest"]},
        "tiers": {"head": {"cache": {"onMiss": "tail"}}, "tail": {"predictor": predictor}},
    }
    return RouterConfig.model_validate({"deployment": "search", "stable": "r1", "compositions": [composition]})


def test_the_head_job_reports_a_complete_generation(head: dict[str, Any]) -> None:
    assert head["phase"] == "Succeeded"
    assert head["summary"]["coverage"] == {"wanted": 2, "scored": 2, "unknownItems": 0, "share": "1.000000"}


def test_a_second_head_job_reuses_the_first(build: HeadBuildConfig, head: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(build.model_dump_json(by_alias=True))
    words = ["head", "build", "--config", str(tmp_path / "config.json"), "--report", str(tmp_path / "report.json")]
    assert main(words) == 0
    again = json.loads((tmp_path / "report.json").read_text())
    assert again["result"] == head["result"] | {"reused": True}


def test_the_next_day_scores_only_what_changed(
    build: HeadBuildConfig, head: dict[str, Any], warehouse: Warehouse, tmp_path: Path
) -> None:
    items = warehouse.items(ITEMS | {"i2": Features("blue kettle")})
    tomorrow = build.model_copy(update={"items": items, "input_key": "sha256:" + "8" * 64})
    (tmp_path / "config.json").write_text(tomorrow.model_dump_json(by_alias=True))
    words = ["head", "build", "--config", str(tmp_path / "config.json"), "--report", str(tmp_path / "report.json")]
    assert main(words) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["summary"]["reusedPairs"], report["summary"]["coverage"]["scored"]) == (1, 2)
    assert head["summary"]["reusedPairs"] == 0


async def test_head_and_tail_give_one_pair_the_same_probabilities(
    warehouse: Warehouse, build: HeadBuildConfig, served: ServedModel, head: dict[str, Any], tmp_path: Path
) -> None:
    async with RunningRouter(tmp_path / "shelf").running() as router:
        await router.serve(config(warehouse, build, served, head))
        cached = await router.ask(QUERY, "i1", "i2")
        computed = await router.ask(QUERY, "i1", "i2", "i3")
    assert (cached["tier"], computed["tier"]) == ("head", "tail")
    for one, two in zip(cached["items"], computed["items"][:2], strict=True):
        assert one["probabilities"] == pytest.approx(two["probabilities"], abs=1e-4)
        assert (one["label"], one["source"], two["source"]) == (two["label"], "cache", "predictor")
    assert cached["items"][0]["probabilities"] != pytest.approx(cached["items"][1]["probabilities"], abs=1e-3)
