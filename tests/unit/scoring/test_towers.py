"""From two vectors to four probabilities, and how the vectors are asked for."""

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from unit.prompts.conftest import bert_tokenizer
from unit.scoring.test_client import serving

from lore_core.jobs import RuleMode
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, TextEncoder, build_contract
from lore_core.scoring.client import ScoringError, VllmClient
from lore_core.scoring.towers import cosine, label_probabilities, vector

ENCODER = TextEncoder(bert_tokenizer())
KIT = ModelKit(build_contract(ENCODER, PromptLayout.TWO_TOWER, RuleMode.NONE, 32), ENCODER)
HEAD = KIT.contract.towers
assert HEAD is not None
QUERY = (2, 9, 3)


def prompt(*item: int, query: tuple[int, ...] = QUERY) -> RenderedPrompt:
    return RenderedPrompt((*query, *item), truncated=False, of_query=len(query))


def turned(ids: Sequence[int]) -> list[float]:
    """A vector whose angle is the sum of its ids, so that the cosine of two says which they are."""
    angle = sum(ids) / 10
    return [3 * math.cos(angle), 3 * math.sin(angle)]


def encoded(values: Sequence[float]) -> str:
    return base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode()


def embedded(path: str, body: dict[str, Any]) -> tuple[int, Any]:
    """vLLM's embeddings route, answering a list from its end."""
    assert (path, body["encoding_format"]) == ("/v1/embeddings", "base64")
    found = [{"index": row, "embedding": encoded(turned(ids))} for row, ids in enumerate(body["input"])]
    return 200, {"data": found[::-1]}


def expected(one: RenderedPrompt) -> tuple[float, ...]:
    query, item = one.towers
    return label_probabilities(HEAD, math.cos((sum(query) - sum(item)) / 10))


async def test_a_list_of_prompts_is_one_request_with_each_sequence_once() -> None:
    other = (2, 10, 3)
    prompts = [prompt(2, 11, 3), prompt(2, 12, 3), prompt(2, 11, 3, query=other), prompt(2, 13, 3)]
    async with serving(embedded) as (url, asked), VllmClient(KIT, url, "m") as client:
        scores = await client.score(prompts)
    ((_, body),) = asked
    assert body["input"] == [[2, 9, 3], [2, 11, 3], [2, 12, 3], [2, 10, 3], [2, 13, 3]]
    assert scores.probabilities == pytest.approx(np.array([expected(one) for one in prompts]), abs=1e-6)


async def test_one_prompt_is_asked_in_the_same_way() -> None:
    async with serving(embedded) as (url, asked), VllmClient(KIT, url, "m", concurrency=1) as client:
        scores = await client.score([prompt(2, 11, 3), prompt(2, 12, 3)])
    assert [body["input"] for _, body in asked] == [[[2, 9, 3], [2, 11, 3]], [[2, 9, 3], [2, 12, 3]]]
    assert scores.probabilities[1] == pytest.approx(expected(prompt(2, 12, 3)), abs=1e-6)


async def test_an_item_that_says_what_the_query_says_is_one_sequence() -> None:
    async with serving(embedded) as (url, asked), VllmClient(KIT, url, "m") as client:
        scores = await client.score([prompt(*QUERY)])
    assert [body["input"] for _, body in asked] == [[[2, 9, 3]]]
    assert scores.probabilities[0] == pytest.approx(label_probabilities(HEAD, 1.0), abs=1e-6)


async def test_vectors_that_cannot_be_compared_are_an_error_and_never_a_score() -> None:
    def answer(_path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return 200, {"data": [{"index": row, "embedding": encoded([1.0] * (row + 1))} for row in range(2)]}

    async with serving(answer) as (url, _), VllmClient(KIT, url, "m") as client:
        with pytest.raises(ScoringError, match="/v1/embeddings: the vectors differ in length"):
            await client.score([prompt(2, 11, 3)])


async def test_a_vector_that_is_missing_scores_nothing() -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status, found = embedded(path, body)
        return status, {"data": found["data"][1:]}

    async with serving(answer) as (url, _), VllmClient(KIT, url, "m") as client:
        with pytest.raises(ScoringError, match="2 answers to 3 prompts"):
            await client.score([prompt(2, 11, 3), prompt(2, 12, 3)])


@pytest.mark.parametrize("broken", [[0.0, 0.0], [math.nan, 1.0]])
async def test_a_vector_without_a_direction_is_a_score_of_nothing(broken: list[float]) -> None:
    def answer(_path: str, body: dict[str, Any]) -> tuple[int, Any]:
        vectors = [encoded([1.0, 0.0]), encoded(broken)]
        return 200, {"data": [{"index": row, "embedding": one} for row, one in enumerate(vectors)]}

    async with serving(answer) as (url, _), VllmClient(KIT, url, "m") as client:
        assert np.isnan((await client.score([prompt(2, 11, 3)])).probabilities).all()


def test_a_vector_comes_as_little_endian_float32() -> None:
    assert vector(encoded([1.5, -2.0])).tolist() == [1.5, -2.0]
    with pytest.raises(ValueError, match=r"base64|multiple"):
        vector("no vector")


def test_the_length_of_a_vector_does_not_count() -> None:
    assert cosine(np.array([3.0, 4.0]), np.array([6.0, 8.0])) == pytest.approx(1.0)
    assert cosine(np.array([1.0, 0.0]), np.array([0.0, 5.0])) == 0.0


@pytest.mark.parametrize("scale", ["0.5", "10", "4000"])
def test_four_probabilities_are_the_cumulative_logits_differences(scale: str) -> None:
    torch = pytest.importorskip("torch")
    from lore_core.scoring.two_tower import log_probabilities

    head = HEAD.model_copy(update={"scale": scale})
    alike = [-1.0, -0.2, 0.0, 0.3, 0.45, 0.6, 1.0]
    found = np.array([label_probabilities(head, one) for one in alike])
    cuts = torch.tensor([float(cut) for cut in head.cut_points], dtype=torch.float64)
    expected = log_probabilities(torch.tensor(alike, dtype=torch.float64), float(scale), cuts).exp().numpy()
    assert found.min() >= 0
    assert found.sum(axis=1) == pytest.approx(np.ones(len(alike)))
    assert found == pytest.approx(expected, abs=1e-12)
    assert (np.diff(found @ np.arange(4)) >= 0).all()


def test_the_cut_points_part_the_labels() -> None:
    cuts = [float(cut) for cut in HEAD.cut_points]
    for place, cut in enumerate(cuts):
        assert sum(label_probabilities(HEAD, cut / float(HEAD.scale))[: place + 1]) == pytest.approx(0.5)
