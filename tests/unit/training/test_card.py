"""The model card says where a model comes from and what was measured, and its lineage outlives a stage."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.prompts.conftest import bert_tokenizer

from lore_core.artifacts import ArtifactRef, publish, verify
from lore_core.benchmark.lexicon import vocabulary
from lore_core.jobs import RuleMode
from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit, PromptLayout, TextEncoder, build_contract
from lore_core.training.base import write_tokenizer
from lore_core.training.card import model_card
from lore_core.training.lineage import LINEAGE, MadeBy, lineage_json, lineage_of

DATA, BASE = "sha256:" + "d" * 64, "sha256:" + "b" * 64


def made(stage: str, kind: str = "sft", **changes: Any) -> MadeBy:
    values: dict[str, Any] = {
        **{"stage": stage, "kind": kind, "step": 30, "steps": 100, "batch_size": 8, "learning_rate": "0.002"},
        **{"final_loss": "0.2500", "inputs": {"data": DATA, "baseModel": BASE}},
    }
    return MadeBy(**(values | changes))


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> ModelKit:
    encoder = write_tokenizer(vocabulary(), tmp_path_factory.mktemp("card"))
    return ModelKit(build_contract(encoder, PromptLayout.THINK_FIRST, RuleMode.RETRIEVED, 96), encoder)


def test_a_card_names_inputs_stages_and_scores(kit: ModelKit) -> None:
    scored = made("tuned", scores={"tuneMacroF1": "0.8125"}, scored_pairs=64)
    text = model_card(kit, [scored, made("aligned", "align Grpo")], [])
    front = yaml.safe_load(text.split("---")[1])
    assert front["pipeline_tag"] == "text-generation"
    assert "# aligned" in text
    for told in (
        DATA,
        BASE,
        "| `tuned` | sft | 30 | 100 | 8 |",
        "| `aligned` | align Grpo |",
        kit.contract.prompt_digest,
    ):
        assert told in text
    assert "| `tuned` | tuneMacroF1 | 0.8125 | 64 |" in text
    assert "Sampled answers" not in text


def test_a_card_shows_pass_at_k_of_every_stage_that_sampled(kit: ModelKit) -> None:
    stages = [
        made(stage, kind, sampled={"pairs": 32, "samples": 8, "scores": {"tunePassAt1": value}})
        for stage, kind, value in (("tuned", "sft", "0.8870"), ("aligned", "align Grpo", "0.9290"))
    ]
    text = model_card(kit, [made("first"), *stages], [])
    assert "| `tuned` | tunePassAt1 | 0.8870 | 32 | 8 |\n| `aligned` | tunePassAt1 | 0.9290 | 32 | 8 |" in text


def test_a_card_of_a_two_tower_says_what_it_is_and_the_numbers_of_its_head() -> None:
    encoder = TextEncoder(bert_tokenizer())
    kit = ModelKit(build_contract(encoder, PromptLayout.TWO_TOWER, RuleMode.NONE, 96), encoder)
    text = model_card(kit, [made("apart", "distill")], [])
    assert yaml.safe_load(text.split("---")[1])["pipeline_tag"] == "sentence-similarity"
    assert "It is an encoder of query and item apart" in text
    assert "| scale, cut points | `10, 3 4.5 6` |" in text


def test_a_card_without_scores_says_so(kit: ModelKit) -> None:
    assert "None was measured in training." in model_card(kit, [made("tuned")], [])


def published(tmp_path: Path, lineage: Any) -> Path:
    (tmp_path / "source").mkdir()
    ref = publish(tmp_path / "source", ArtifactRef(uri=(tmp_path / "model").as_uri()), "model", {}, {LINEAGE: lineage})
    verify(ref, tmp_path / "fetched")
    return tmp_path / "fetched"


def test_lineage_is_handed_on_by_the_manifest(tmp_path: Path) -> None:
    stages = (made("one", scores={"tuneAccuracy2": "0.9000"}), made("two"))
    assert lineage_of(published(tmp_path, lineage_json(stages)), "baseModel") == stages


def test_a_lineage_that_cannot_be_read_is_refused_with_its_place(tmp_path: Path) -> None:
    (hostile,) = [lineage_json((made("one"),))]
    hostile[0]["kind"] = "sft | ![x](http://else)"  # type: ignore[index,call-overload]
    with pytest.raises(JobError, match=r"baseModel: metadata\.lineage\.0\.kind of its manifest") as caught:
        lineage_of(published(tmp_path, hostile), "baseModel")
    assert caught.value.failure.reason == "BadBaseModel"
