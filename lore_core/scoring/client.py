"""Label scores from a running vLLM server, by token ids only."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from lore_core.keepalive import KeepAlive, UpstreamError
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt
from lore_core.scoring.scores import LabelScore, LabelScores, label_softmax
from lore_core.scoring.wire import asked, next_logprobs, one_token

_CONCURRENCY: Final = 32
_CONNECT_AGAIN: Final = (0.0, 0.5)
"""Seconds to wait before a connection that was refused is tried again."""
T = TypeVar("T")


class ScoringError(Exception):
    """The server gave no usable score; the message has the status and what it said."""

    reason = "ScoringFailed"


Post = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class LabelRoute:
    """The requests that give one prompt its label score, over whatever carries them; the router brings its own carrier.

    Label-first: the four label log-probabilities at the first token. Think-first: generate up to the label's position, then
    score it as a second request whose prefix is still cached. Classifier: the class head's probabilities. A prompt with a
    picture takes the same steps over the chat route.
    """

    def __init__(self, kit: ModelKit, model: str, post: Post) -> None:
        """`post(path, request)` sends one JSON request and returns the JSON answer."""
        self._kit, self._model, self._send = kit, model, post

    async def score_one(self, prompt: RenderedPrompt) -> LabelScore:
        """Score of one prompt. Raises ScoringError."""
        match self._kit.contract.layout:
            case PromptLayout.CLASSIFIER:
                return await self._classify(prompt.token_ids)
            case PromptLayout.LABEL_FIRST:
                return await self._label(prompt, "")
            case PromptLayout.THINK_FIRST:
                trace = await self._trace(prompt)
                at_label = replace(prompt, token_ids=self._kit.label_position(prompt, trace))
                score = await self._label(at_label, self._kit.trace_text(trace))
                return replace(score, output_tokens=len(trace))

    async def generate(self, prompt: RenderedPrompt, max_tokens: int, **sampling: Any) -> tuple[int, ...]:
        """Ids of a generated answer, greedy unless `sampling` (temperature, seed, stop_token_ids) says otherwise."""
        path, said = asked(self._kit, prompt)
        request = {
            **said,
            "max_tokens": max_tokens,
            "temperature": 0,
            "return_token_ids": True,
            "skip_special_tokens": False,
            **sampling,
        }
        return tuple(int(id_) for id_ in (await self._completion(path, request))["token_ids"])

    async def _trace(self, prompt: RenderedPrompt) -> tuple[int, ...]:
        bounds = self._kit.contract.trace
        assert bounds is not None  # the contract holds: layout ThinkFirst has one
        return await self.generate(prompt, bounds.max_tokens, stop_token_ids=[bounds.stop_token_id])

    async def _label(self, prompt: RenderedPrompt, trace: str) -> LabelScore:
        labels = self._kit.contract.verbaliser.token_ids
        path, said = asked(self._kit, prompt)
        found = next_logprobs(path, await self._completion(path, {**said, **one_token(path, labels)}))
        try:
            probabilities, outside = label_softmax([found[f"token_id:{label}"] for label in labels])
        except KeyError as error:
            raise ScoringError(f"the server returned no log-probability for label token {error}") from error
        return LabelScore(probabilities, outside, trace)

    async def _completion(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        choice: dict[str, Any] = (await self._post(path, request))["choices"][0]
        return choice

    async def _classify(self, token_ids: Sequence[int]) -> LabelScore:
        found = (await self._post("/classify", {"input": list(token_ids)}))["data"][0]["probs"]
        if len(found) != len(self._kit.contract.verbaliser.token_ids):
            raise ScoringError(f"the server returned {len(found)} class probabilities, four are needed")
        first, second, third, fourth = (float(found[index]) for index in self._kit.contract.verbaliser.token_ids)
        return LabelScore((first, second, third, fourth))

    async def _post(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        found = await self._send(path, {"model": self._model, **request})
        if (answered := found.get("model", self._model)) != self._model:
            raise ScoringError(f"{path}: model {answered!r} answered, asked was {self._model!r}; check the endpoint")
        return found


class VllmClient:
    """Scores rendered prompts with one served model. Use as an async context manager."""

    def __init__(
        self, kit: ModelKit, base_url: str, model: str, *, timeout: float = 60.0, concurrency: int = _CONCURRENCY
    ) -> None:
        """`base_url` without path, e.g. http://127.0.0.1:8000; `timeout` in seconds a request."""
        self._route = LabelRoute(kit, model, self._post)
        self._slots = asyncio.Semaphore(concurrency)
        self._connections, self._timeout = KeepAlive(base_url, concurrency), timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        self._connections.retire()

    async def score(self, prompts: Sequence[RenderedPrompt]) -> LabelScores:
        """Scores of n prompts, in their order. Raises ScoringError at the first prompt that has none."""
        return LabelScores.of(await self.score_each(prompts))

    async def score_each(self, prompts: Sequence[RenderedPrompt]) -> list[LabelScore]:
        """The same with each prompt's tokens and seconds."""
        return await all_of([self._bounded(prompt) for prompt in prompts])

    async def generate(self, prompt: RenderedPrompt, max_tokens: int, **sampling: Any) -> tuple[tuple[int, ...], float]:
        """Ids of a generated answer and the seconds it took. Raises ScoringError."""
        async with self._slots:
            started = time.perf_counter()
            found = await self._route.generate(prompt, max_tokens, **sampling)
            return found, time.perf_counter() - started

    async def _bounded(self, prompt: RenderedPrompt) -> LabelScore:
        async with self._slots:
            started = time.perf_counter()
            score = await self._route.score_one(prompt)
            return replace(score, seconds=time.perf_counter() - started)

    async def score_one(self, prompt: RenderedPrompt) -> LabelScore:
        """Score of one prompt. Raises ScoringError."""
        return await self._route.score_one(prompt)

    async def _post(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._insist(path, request)
        except TimeoutError as error:
            raise ScoringError(f"{path}: no answer within {self._timeout:g} s") from error
        except UpstreamError as error:
            raise ScoringError(str(error)) from error
        except OSError as error:
            raise ScoringError(f"{path}: {type(error).__name__}: {error}") from error

    async def _insist(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        for seconds in _CONNECT_AGAIN:
            try:
                return await self._connections.post(path, request)
            except ConnectionRefusedError:
                await asyncio.sleep(seconds)
        return await self._connections.post(path, request)


async def all_of(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order; the first error stops the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
    else:
        return [task.result() for task in tasks]
    raise first  # outside the handler: chained to the group that holds it, it would be its own cause
