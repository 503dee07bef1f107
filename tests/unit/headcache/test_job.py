"""The head job publishes a complete generation or nothing, and does no work twice."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.headcache import Features, HeadGeneration, content_hash, item_hash
from lore_core.headcache.candidates import Candidate, read_candidates, wanted_pairs
from lore_core.headcache.generation import generation_bytes, head_query_hash
from lore_core.headcache.job import Coverage, _require, run_head_build, score_pairs
from lore_core.jobs.config import HeadBuildConfig, RuleMode, ServingProfile
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import FileSink, Reporter
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, RuleSource, TextEncoder, build_contract
from lore_core.records import RecordError
from lore_core.scoring.scores import LabelScore, LabelScores
from lore_core.training.tokenizer import build_tokenizer, vocabulary

ITEMS = {"i1": Features("red shirt"), "i2": Features("blue shirt", "acme", {"size": "m"})}
NO_RULES = RuleSource(RuleMode.NONE)


@pytest.fixture(scope="module")
def kit() -> ModelKit:
    encoder = TextEncoder(build_tokenizer(vocabulary(["red blue shirt acme size m"])))
    return ModelKit(build_contract(encoder, PromptLayout.LABEL_FIRST, RuleMode.NONE, 24), encoder)


def candidates(*lines: tuple[str, str, list[str]]):
    return iter([Candidate(query=query, market=market, item_ids=tuple(ids)) for query, market, ids in lines])


def by_length(prompts: Sequence[RenderedPrompt]) -> LabelScores:
    """A score that depends on the prompt, so that a mix-up of pairs shows."""
    shares = [len(prompt.token_ids) / 64 for prompt in prompts]
    return LabelScores.of([LabelScore((share, 1 - share, 0.0, 0.0)) for share in shares])


def test_scored_pairs_are_found_under_any_spelling_of_their_query(tmp_path: Path, kit: ModelKit) -> None:
    wanted = wanted_pairs(candidates(("Red shirt", "", ["i1", "i2"])), ITEMS)
    entries = list(score_pairs(wanted, kit, NO_RULES, by_length, Reporter(None)))
    (tmp_path / "head.bin").write_bytes(generation_bytes(entries))
    asked = np.array([item_hash("i1"), item_hash("i2")], dtype=np.uint64)
    content = np.array([content_hash(ITEMS["i1"]), content_hash(ITEMS["i2"])], dtype=np.uint64)
    found = HeadGeneration.open(tmp_path).lookup(head_query_hash("red shirt", ""), asked, content)
    lengths = [len(kit.render(pair.record).token_ids) for pair in wanted.pairs]
    assert found.probabilities[:, 0].tolist() == [length / 64 for length in lengths]


def test_the_same_query_in_two_markets_is_two_pairs() -> None:
    wanted = wanted_pairs(candidates(("shirt", "north", ["i1"]), ("shirt", "south", ["i1"])), ITEMS)
    assert len({pair.query for pair in wanted.pairs}) == 2


def test_spellings_and_repeated_items_are_scored_once() -> None:
    wanted = wanted_pairs(candidates(("shirt 5", "", ["i1", "i1"]), ("Shirt5", "", ["i1"])), ITEMS)
    assert len(wanted.pairs) == 1


def test_items_nobody_knows_count_against_coverage() -> None:
    wanted = wanted_pairs(candidates(("shirt", "", ["i1", "gone"])), ITEMS)
    assert (wanted.total, wanted.unknown_items) == (2, 1)


def test_a_prompt_that_cannot_be_rendered_is_left_out(kit: ModelKit) -> None:
    wanted = wanted_pairs(candidates(("shirt", "", ["i1"]), ("red " * 100, "", ["i1"])), ITEMS)
    assert len(list(score_pairs(wanted, kit, NO_RULES, by_length, Reporter(None)))) == 1


def test_a_score_that_is_no_number_is_never_cached(kit: ModelKit) -> None:
    def broken(prompts: Sequence[RenderedPrompt]) -> LabelScores:
        return LabelScores.of(
            [LabelScore((np.nan, np.nan, np.nan, np.nan)), *[LabelScore((1, 0, 0, 0))] * (len(prompts) - 1)]
        )

    wanted = wanted_pairs(candidates(("shirt", "", ["i1", "i2"])), ITEMS)
    entries = list(score_pairs(wanted, kit, NO_RULES, broken, Reporter(None)))
    assert [entry.item for entry in entries] == [wanted.pairs[1].item]


def test_too_little_coverage_is_refused_with_what_is_missing() -> None:
    with pytest.raises(JobError, match=r"98 of 100 .* minCoverage 0.99.* 2 name items") as caught:
        _require(Coverage(wanted=100, scored=98, unknown_items=2), 0.99)
    assert caught.value.failure.reason == "CoverageTooLow"


def test_an_equal_generation_is_reported_as_reused_without_fetching_anything(tmp_path: Path) -> None:
    nowhere = ArtifactRef(uri=f"file://{tmp_path}/nowhere", digest="sha256:" + "0" * 64)
    config = HeadBuildConfig(
        deployment="search", model=nowhere, profile=ServingProfile(image="x"), candidates=nowhere, items=nowhere,
        workspace=ArtifactRef(uri=f"file://{tmp_path}/workspace"), input_key="sha256:" + "1" * 64,
    )  # fmt: skip
    (tmp_path / "made").mkdir()
    (tmp_path / "made/head.bin").write_bytes(generation_bytes([]))
    made = publish(tmp_path / "made", config.output, "head", metadata={"coverage": {"share": "1.000000"}})
    result = run_head_build(config, Reporter(FileSink(tmp_path / "report.json")))
    report = json.loads((tmp_path / "report.json").read_text())
    assert (result.digest, result.reused) == (made.digest, True)
    assert report["summary"]["coverage"]["share"] == "1.000000"


def test_a_broken_candidate_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "candidates.jsonl").write_text('{"query": "a", "item_ids": ["i1"]}\n{"query": "a"}\n')
    with pytest.raises(RecordError, match=r"candidates\.jsonl.*2.*item_ids"):
        list(read_candidates(tmp_path))
