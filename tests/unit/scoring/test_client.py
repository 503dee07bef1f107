"""The client against a server of the wire: what is asked, what is read, what is refused."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from lore_core.jobs import RuleMode
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, TextEncoder, build_contract
from lore_core.prompts.render import Picture
from lore_core.scoring.client import ScoringError, VllmClient
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.tokenizer import build_tokenizer

Answer = Callable[[str, dict[str, Any]], tuple[int, Any]]
PROMPT = RenderedPrompt((3, 4, 5), truncated=False)


def kit_of(layout: PromptLayout) -> ModelKit:
    if layout is PromptLayout.CLASSIFIER:
        contract = build_contract(encoder(), PromptLayout.LABEL_FIRST, RuleMode.NONE, 32)
        labels = contract.verbaliser.model_copy(update={"token_ids": (0, 1, 2, 3)})
        return ModelKit(contract.model_copy(update={"layout": layout, "verbaliser": labels}), encoder())
    return ModelKit(build_contract(encoder(), layout, RuleMode.NONE, 32), encoder())


def encoder() -> TextEncoder:
    return TextEncoder(build_tokenizer(["red", "blue"]))


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """A real HTTP server on a free port; it records what was asked."""
    asked: list[tuple[str, dict[str, Any]]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(
            next(line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length"))
        )
        path, body = head.split()[1], json.loads(await reader.readexactly(length))
        asked.append((path, body))
        status, found = answer(path, body)
        data = json.dumps(found).encode()
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n".encode() + data)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def listed(prompt: list[Any]) -> list[list[int]]:
    """The prompts of a request, which has one as it is and several as a list."""
    return prompt if isinstance(prompt[0], list) else [prompt]


def best_by_first_id(_path: str, body: dict[str, Any]) -> tuple[int, Any]:
    """The label whose place is a prompt's first id, modulo four, is the most probable one."""
    labels, choices = body["logprob_token_ids"], []
    for number, prompt in enumerate(listed(body["prompt"])):
        found = {f"token_id:{id_}": -0.1 if place == prompt[0] % 4 else -5.0 for place, id_ in enumerate(labels)}
        choices.append({"index": number, "logprobs": {"top_logprobs": [found]}})
    return 200, {"choices": choices}


def labels_answer(logprobs: Sequence[float | None], trace: list[int]) -> Answer:
    def answer(_path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if "logprob_token_ids" not in body:
            return 200, {"choices": [{"token_ids": trace}]}
        found = {f"token_id:{id_}": value for id_, value in zip(body["logprob_token_ids"], logprobs, strict=True)}
        count = len(listed(body["prompt"]))
        return 200, {"choices": [{"index": row, "logprobs": {"top_logprobs": [found]}} for row in range(count)]}

    return answer


async def test_label_first_scores_the_next_token_of_the_prompt() -> None:
    kit = kit_of(PromptLayout.LABEL_FIRST)
    async with (
        serving(labels_answer([-1.0, -2.0, -3.0, -4.0], [])) as (url, asked),
        VllmClient(kit, url, "m") as client,
    ):
        scores = await client.score([PROMPT])
    assert [body["prompt"] for _, body in asked] == [[3, 4, 5]]
    assert scores.probabilities[0].argmax() == 0


async def test_think_first_scores_the_label_after_the_generated_trace() -> None:
    kit = kit_of(PromptLayout.THINK_FIRST)
    stop = kit.contract.trace.stop_token_id if kit.contract.trace else 0
    red = kit.encoder.encode("red")[0]
    answer = labels_answer([-9.0, -9.0, -9.0, -0.01], [red, stop])
    async with serving(answer) as (url, asked), VllmClient(kit, url, "m") as client:
        scores = await client.score([PROMPT])
    assert asked[0][1]["stop_token_ids"] == [stop]
    assert asked[1][1]["prompt"] == [3, 4, 5, red, stop]
    assert (scores.traces, scores.probabilities[0].argmax()) == (("red",), 3)


async def test_an_endless_trace_is_closed_before_the_label_is_scored() -> None:
    kit = kit_of(PromptLayout.THINK_FIRST)
    stop = kit.contract.trace.stop_token_id if kit.contract.trace else 0
    async with serving(labels_answer([-1.0] * 4, [20, 20])) as (url, asked), VllmClient(kit, url, "m") as client:
        await client.score([PROMPT])
    assert asked[1][1]["prompt"] == [3, 4, 5, 20, 20, stop]


SHOWN = RenderedPrompt((3, 4, 5), truncated=False, picture=Picture("iVBORw0KGgo=", 2))


def shown_answer(logprobs: list[float], trace: list[int]) -> Answer:
    """vLLM's chat route, as it answers one_token's request and a generation."""

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        assert path == "/v1/chat/completions"
        if "logprob_token_ids" not in body:
            return 200, {"choices": [{"token_ids": trace}]}
        assert body["logprobs"] is True
        found = [
            {"token": f"token_id:{i}", "logprob": p} for i, p in zip(body["logprob_token_ids"], logprobs, strict=True)
        ]
        return 200, {"choices": [{"logprobs": {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": found}]}}]}

    return answer


def texts(body: dict[str, Any]) -> list[str]:
    (message,) = body["messages"]
    return [part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in message["content"]]


async def test_a_prompt_with_a_picture_is_asked_over_the_chat_route_with_the_words_around_it() -> None:
    kit = kit_of(PromptLayout.LABEL_FIRST)
    async with serving(shown_answer([-3.0, -2.0, -0.1, -4.0], [])) as (url, asked), VllmClient(kit, url, "m") as client:
        scores = await client.score([SHOWN])
    ((_, body),) = asked
    assert texts(body) == [kit.words((3, 4)), "data:image/png;base64,iVBORw0KGgo=", kit.words((5,))]
    assert (body["add_generation_prompt"], body["max_tokens"], body["temperature"]) == (False, 1, 0)
    assert body["logprob_token_ids"] == list(kit.contract.verbaliser.token_ids)
    assert scores.probabilities[0].argmax() == 2


async def test_think_first_scores_a_pictured_item_after_its_trace() -> None:
    kit = kit_of(PromptLayout.THINK_FIRST)
    stop = kit.contract.trace.stop_token_id if kit.contract.trace else 0
    red = kit.encoder.encode("red")[0]
    answer = shown_answer([-9.0, -9.0, -9.0, -0.01], [red, stop])
    async with serving(answer) as (url, asked), VllmClient(kit, url, "m") as client:
        scores = await client.score([SHOWN])
    (_, traced), (_, labelled) = asked
    assert traced["stop_token_ids"] == [stop]
    assert texts(labelled)[:2] == texts(traced)[:2]
    assert texts(labelled)[2] == kit.words((5, red, stop))
    assert (scores.traces, scores.probabilities[0].argmax()) == (("red",), 3)


async def test_a_chat_answer_without_the_labels_is_an_error_and_never_a_score() -> None:
    def answer(_path: str, _body: dict[str, Any]) -> tuple[int, Any]:
        return 200, {"choices": [{"logprobs": {"content": [{"top_logprobs": []}]}}]}

    async with serving(answer) as (url, _), VllmClient(kit_of(PromptLayout.LABEL_FIRST), url, "m") as client:
        with pytest.raises(ScoringError, match="no log-probability"):
            await client.score([SHOWN])


def test_a_scorer_that_cannot_see_refuses_pictures_instead_of_scoring_without() -> None:
    scorer = TransformersScorer.of(kit_of(PromptLayout.LABEL_FIRST), None)

    with pytest.raises(ValueError, match="a prompt has a picture, and this scorer no reader"):
        scorer.score([PROMPT, SHOWN])


async def test_neighbours_are_scored_by_one_request_and_come_back_in_their_order() -> None:
    kit = kit_of(PromptLayout.LABEL_FIRST)
    prompts = [RenderedPrompt((index,), truncated=False) for index in range(50)]
    async with serving(best_by_first_id) as (url, asked), VllmClient(kit, url, "m", together=8) as client:
        scores = await client.score(prompts)
    assert sorted(body["prompt"] for _, body in asked) == [
        *([[index] for index in range(start, start + 8)] for start in range(0, 48, 8)),
        [[48], [49]],
    ]
    assert scores.probabilities.argmax(1).tolist() == [index % 4 for index in range(50)]


@pytest.mark.parametrize(("concurrency", "together"), [(32, 8), (8, 2), (4, 1), (1, 1)])
async def test_no_more_prompts_are_under_way_than_asked_for(concurrency: int, together: int) -> None:
    """A tier that serves meanwhile is asked so many pairs at once, however they are put into requests."""
    under_way, most, opened, sizes = 0, 0, 0, set[int]()
    full, left = asyncio.Event(), asyncio.Queue[None]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most, opened
        opened += 1
        async for body in bodies(reader):
            sizes.add(size := len(listed(body["prompt"])))
            under_way += size
            most = max(most, under_way)
            if under_way >= concurrency:
                full.set()
            await full.wait()
            under_way -= size
            writer.write(message(best_by_first_id("", body)[1]))
        await closed(writer)
        left.put_nowait(None)

    prompts = [RenderedPrompt((index,), truncated=False) for index in range(64)]
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        kit = kit_of(PromptLayout.LABEL_FIRST)
        async with VllmClient(kit, address(server), "m", concurrency=concurrency) as client:
            await client.score(prompts)
        for _ in range(opened):
            await left.get()
    assert (most, sizes) == (concurrency, {together})


async def test_a_picture_among_neighbours_has_a_request_of_its_own() -> None:
    shown = shown_answer([-3.0, -2.0, -0.1, -4.0], [])

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return shown(path, body) if "messages" in body else best_by_first_id(path, body)

    prompts = [RenderedPrompt((1,), truncated=False), SHOWN, RenderedPrompt((3,), truncated=False)]
    async with (
        serving(answer) as (url, asked),
        VllmClient(kit_of(PromptLayout.LABEL_FIRST), url, "m", together=8) as client,
    ):
        scores = await client.score(prompts)
    assert sorted(path for path, _ in asked) == ["/v1/chat/completions", "/v1/completions", "/v1/completions"]
    assert scores.probabilities.argmax(1).tolist() == [1, 2, 3]


async def test_a_request_of_which_an_answer_is_missing_scores_nothing() -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status, found = best_by_first_id(path, body)
        return status, {"choices": found["choices"][:-1]}

    async with serving(answer) as (url, _), VllmClient(kit_of(PromptLayout.LABEL_FIRST), url, "m") as client:
        with pytest.raises(ScoringError, match="7 answers to 8 prompts"):
            await client.score([PROMPT] * 8)


@pytest.mark.parametrize("broken", [None, math.nan, math.inf])
async def test_a_log_probability_that_is_no_number_is_a_score_of_nothing(broken: float | None) -> None:
    async with (
        serving(labels_answer([-1.0, broken, -1.0, -1.0], [])) as (url, _),
        VllmClient(kit_of(PromptLayout.LABEL_FIRST), url, "m") as client,
    ):
        scores = await client.score([PROMPT])
    assert np.isnan(scores.probabilities).all()


async def test_students_are_asked_for_the_classes_of_neighbours_together() -> None:
    def answer(_path: str, body: dict[str, Any]) -> tuple[int, Any]:
        found = [{"index": row, "probs": [0.0, 0.0, 0.0, float(ids[0])]} for row, ids in enumerate(body["input"])]
        return 200, {"data": found[::-1]}  # whatever the order in which they come

    async with serving(answer) as (url, _), VllmClient(kit_of(PromptLayout.CLASSIFIER), url, "m") as client:
        scores = await client.score([RenderedPrompt((index, 9), truncated=False) for index in range(8)])
    assert scores.probabilities[:, 3].tolist() == list(range(8))


async def test_a_student_is_asked_for_its_classes() -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        assert (path, body["input"]) == ("/classify", [3, 4, 5])
        return 200, {"data": [{"probs": [0.1, 0.2, 0.3, 0.4]}]}

    async with serving(answer) as (url, _), VllmClient(kit_of(PromptLayout.CLASSIFIER), url, "m") as client:
        scores = await client.score([PROMPT])
    assert scores.probabilities[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


async def test_an_answer_of_another_model_is_refused() -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status, found = labels_answer([-1.0, -2.0, -3.0, -4.0], [])(path, body)
        return status, found | {"model": "somebody-else"}

    async with serving(answer) as (url, _), VllmClient(kit_of(PromptLayout.LABEL_FIRST), url, "m") as client:
        with pytest.raises(ScoringError, match="model 'somebody-else' answered, asked was 'm'"):
            await client.score([PROMPT])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _path, _body: (400, {"error": "too long"}), "status 400: .*too long"),
        (lambda _path, _body: (200, {"choices": [{"logprobs": {"top_logprobs": [{}]}}]}), "no log-probability"),
    ],
)
async def test_an_unusable_answer_is_an_error_and_never_a_score(answer: Answer, message: str) -> None:
    async with serving(answer) as (url, _), VllmClient(kit_of(PromptLayout.LABEL_FIRST), url, "m") as client:
        with pytest.raises(ScoringError, match=message):
            await client.score([PROMPT])


async def test_a_server_that_is_not_there_is_an_error() -> None:
    async with VllmClient(kit_of(PromptLayout.LABEL_FIRST), "http://127.0.0.1:9", "m") as client:
        with pytest.raises(ScoringError, match="/v1/completions: ConnectionRefusedError"):
            await client.score([PROMPT])


async def test_a_server_that_does_not_answer_is_an_error_after_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await closed(writer)
        left.set()

    left = asyncio.Event()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        async with VllmClient(kit_of(PromptLayout.LABEL_FIRST), address(server), "m", timeout=0.05) as client:
            with pytest.raises(ScoringError, match=r"/v1/completions: no answer within 0\.05 s"):
                await client.score([PROMPT])
        await left.wait()


async def test_connections_are_kept_and_are_no_more_than_requests_at_once() -> None:
    opened, left = 0, asyncio.Queue[None]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        async for body in bodies(reader):
            writer.write(message(labels_answer([-1.0] * 4, [])("", body)[1]))
        await closed(writer)
        left.put_nowait(None)

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        async with VllmClient(kit_of(PromptLayout.LABEL_FIRST), address(server), "m", concurrency=2) as client:
            await client.score([PROMPT] * 20)
        for _ in range(opened):
            await left.get()
    assert opened == 2


async def bodies(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """The requests of one kept connection."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            yield json.loads(await reader.readexactly(length))


def message(found: Any) -> bytes:
    data = json.dumps(found).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(data) + data


def address(server: asyncio.Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
