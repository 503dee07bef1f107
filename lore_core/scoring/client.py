"""Label scores from a running vLLM server, by token ids only."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from lore_core.keepalive import KeepAlive, UpstreamError
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt
from lore_core.scoring.scores import LabelScore, LabelScores, label_softmax
from lore_core.scoring.towers import EMBEDDINGS, cosine, label_probabilities, sequences, vector
from lore_core.scoring.wire import asked, forbidden, listed, next_logprobs, one_token

_CONCURRENCY: Final = 32
_TOGETHER: Final = 8
"""Prompts that one request asks at most: what a request costs beside its tokens is then shared (docs/scoring.md)."""
_UNDER_WAY: Final = 4
"""Requests that the prompts under way are spread over at least, so that the server computes while others travel."""
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
    score it as a second request whose prefix is still cached. Classifier: the class head's probabilities. Two-tower: the
    vectors of query and item, each sequence once, and the contract's head on their cosine. A prompt with a picture takes the
    same steps over the chat route.
    """

    def __init__(self, kit: ModelKit, model: str, post: Post) -> None:
        """`post(path, request)` sends one JSON request and returns the JSON answer."""
        self._kit, self._model, self._send = kit, model, post
        self._layout, self._label_ids = kit.contract.layout, kit.contract.verbaliser.token_ids
        self._each_one = {
            PromptLayout.CLASSIFIER: self._class_of,
            PromptLayout.TWO_TOWER: self._tower_of,
            PromptLayout.LABEL_FIRST: self._label_of,
            PromptLayout.THINK_FIRST: self._thought,
        }[self._layout]

    @property
    def together(self) -> bool:
        """Whether one request scores many prompts; reasoning ends at another time for each."""
        return self._layout is not PromptLayout.THINK_FIRST

    def tokens(self, prompts: Sequence[RenderedPrompt]) -> int:
        """Prompt tokens that one request for these prompts sends."""
        if self._layout is PromptLayout.TWO_TOWER:
            return sum(map(len, sequences(prompts)))
        return sum([len(prompt.token_ids) for prompt in prompts])

    def score_one(self, prompt: RenderedPrompt) -> Coroutine[Any, Any, LabelScore]:
        """Score of one prompt; awaiting it raises ScoringError."""
        return self._each_one(prompt)

    async def score_each(self, prompts: Sequence[RenderedPrompt]) -> list[LabelScore]:
        """Scores of n prompts in their order, all or none; one request where `together`. Raises ScoringError."""
        match self._layout:
            case PromptLayout.CLASSIFIER:
                return await self._classes([prompt.token_ids for prompt in prompts])
            case PromptLayout.TWO_TOWER:
                return await self._towers(prompts)
            case PromptLayout.LABEL_FIRST:
                return await self._labels(prompts)
            case PromptLayout.THINK_FIRST:
                return await all_of([self._thought(prompt) for prompt in prompts])

    async def _class_of(self, prompt: RenderedPrompt) -> LabelScore:
        answer = await self._send("/classify", {"model": self._model, "input": list(prompt.token_ids)})
        (found,) = self._found("/classify", answer, "data", 1)
        return self._class(found["probs"])

    async def _tower_of(self, prompt: RenderedPrompt) -> LabelScore:
        (score,) = await self._towers([prompt])
        return score

    async def _label_of(self, prompt: RenderedPrompt) -> LabelScore:
        (score,) = await self._labels([prompt])
        return score

    async def _thought(self, prompt: RenderedPrompt) -> LabelScore:
        trace = await self._trace(prompt)
        at_label = prompt._replace(token_ids=self._kit.label_position(prompt, trace))
        (score,) = await self._labels([at_label])
        return score._replace(trace=self._kit.trace_text(trace), output_tokens=len(trace))

    async def generate(self, prompt: RenderedPrompt, max_tokens: int, **sampling: Any) -> tuple[int, ...]:
        """Ids of a generated answer, greedy unless `sampling` (temperature, seed, stop_token_ids) says otherwise."""
        path, said = asked(self._kit, prompt)
        request = {
            **said,
            "max_tokens": max_tokens,
            "temperature": 0,
            "return_token_ids": True,
            "skip_special_tokens": False,
            **forbidden(self._kit.unsaid),
            **sampling,
        }
        (found,) = await self._answers(path, request, "choices", 1)
        return tuple(int(id_) for id_ in found["token_ids"])

    async def _trace(self, prompt: RenderedPrompt) -> tuple[int, ...]:
        bounds = self._kit.contract.trace
        assert bounds is not None  # the contract holds: layout ThinkFirst has one
        return await self.generate(prompt, bounds.max_tokens, stop_token_ids=[bounds.stop_token_id])

    async def _labels(self, prompts: Sequence[RenderedPrompt]) -> list[LabelScore]:
        """One request, but where a prompt has a picture: the chat route takes one conversation at a time."""
        if len(prompts) > 1 and any(prompt.picture is not None for prompt in prompts):
            return [score for scores in await all_of([self._labels([one]) for one in prompts]) for score in scores]
        path, said = asked(self._kit, *prompts)
        request = {**said, **one_token(path, self._kit.contract.verbaliser.token_ids)}
        return [self._label(path, choice) for choice in await self._answers(path, request, "choices", len(prompts))]

    def _label(self, path: str, choice: dict[str, Any]) -> LabelScore:
        found = next_logprobs(path, choice)
        try:
            logprobs = [found[f"token_id:{label}"] for label in self._kit.contract.verbaliser.token_ids]
        except KeyError as error:
            raise ScoringError(f"the server returned no log-probability for label token {error}") from error
        return LabelScore(*label_softmax(logprobs))

    async def _classes(self, prompts: Sequence[Sequence[int]]) -> list[LabelScore]:
        found = await self._answers("/classify", {"input": listed(prompts)}, "data", len(prompts))
        return [self._class(one["probs"]) for one in found]

    def _class(self, found: Sequence[float | None]) -> LabelScore:
        if len(found) != len(self._label_ids):
            raise ScoringError(f"the server returned {len(found)} class probabilities, four are needed")
        first, second, third, fourth = [
            math.nan if (value := found[index]) is None else float(value) for index in self._label_ids
        ]
        return LabelScore((first, second, third, fourth))

    async def _towers(self, prompts: Sequence[RenderedPrompt]) -> list[LabelScore]:
        head = self._kit.contract.towers
        assert head is not None  # the contract holds: layout TwoTower has them
        sent = sequences(prompts)
        request = {"input": [list(ids) for ids in sent], "encoding_format": "base64"}
        found = await self._answers(EMBEDDINGS, request, "data", len(sent))
        vectors = {ids: vector(one["embedding"]) for ids, one in zip(sent, found, strict=True)}
        if len({len(one) for one in vectors.values()}) != 1:
            raise ScoringError(f"{EMBEDDINGS}: the vectors differ in length; check what is served")
        pairs = [prompt.towers for prompt in prompts]
        return [LabelScore(label_probabilities(head, cosine(vectors[query], vectors[item]))) for query, item in pairs]

    async def _answers(self, path: str, request: dict[str, Any], field: str, count: int) -> list[dict[str, Any]]:
        """What `field` of the answer has for each of `count` prompts, in their order."""
        return self._found(path, await self._send(path, {"model": self._model, **request}), field, count)

    def _found(self, path: str, answer: dict[str, Any], field: str, count: int) -> list[dict[str, Any]]:
        if (answered := answer.get("model", self._model)) != self._model:
            raise ScoringError(f"{path}: model {answered!r} answered, asked was {self._model!r}; check the endpoint")
        found: list[dict[str, Any]] = answer[field]
        if len(found) != count:
            raise ScoringError(f"{path}: {len(found)} answers to {count} prompts")
        return sorted(found, key=lambda one: int(one["index"])) if count > 1 else found


class VllmClient:
    """Scores rendered prompts with one served model. Use as an async context manager."""

    def __init__(
        self,
        kit: ModelKit,
        base_url: str,
        model: str,
        *,
        timeout: float = 60.0,
        concurrency: int = _CONCURRENCY,
        together: int = _TOGETHER,
    ) -> None:
        """`base_url` without path, e.g. http://127.0.0.1:8000; `timeout` in seconds a request.

        At most `concurrency` prompts are under way, and at most `together` of them in one request.
        """
        self._route = LabelRoute(kit, model, self._post)
        self._together = max(1, min(together, concurrency // _UNDER_WAY)) if self._route.together else 1
        self._slots = asyncio.Semaphore(concurrency)
        self._groups = asyncio.Semaphore(concurrency // self._together)
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
        """The same with each prompt's tokens and seconds; neighbours are asked together, never more than `concurrency`."""
        groups = [prompts[start : start + self._together] for start in range(0, len(prompts), self._together)]
        return [score for group in await all_of([self._bounded(group) for group in groups]) for score in group]

    async def generate(self, prompt: RenderedPrompt, max_tokens: int, **sampling: Any) -> tuple[tuple[int, ...], float]:
        """Ids of a generated answer and the seconds it took. Raises ScoringError."""
        async with self._slots:
            started = time.perf_counter()
            found = await self._route.generate(prompt, max_tokens, **sampling)
            return found, time.perf_counter() - started

    async def _bounded(self, prompts: Sequence[RenderedPrompt]) -> list[LabelScore]:
        async with self._groups:
            started = time.perf_counter()
            scores = await self._route.score_each(prompts)
            seconds = time.perf_counter() - started
            return [score._replace(seconds=seconds) for score in scores]

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
