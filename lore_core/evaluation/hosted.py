"""Answers of a model behind an OpenAI-compatible chat endpoint: paid once, and taken only from the model that was asked.

An endpoint that stays away ends the evaluation, which goes on later with what was answered; one that answers under another
model's name ends it for good. A request that the endpoint refuses (too long, filtered) is an answer without a label.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import httpx
from pydantic import JsonValue

from lore_core.artifacts import ArtifactRef
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.generated import CUT, NO_LABEL, sample_seed
from lore_core.jobs import EvaluateConfig, Generation, JudgedEndpoint, PromptLanguage
from lore_core.jobs.errors import JobError
from lore_core.prompts import RuleSource
from lore_core.prompts.chat import chat_messages, read_chat
from lore_core.records import Pair
from lore_core.synthesis.client import TeacherClient, Unanswered, read_reply
from lore_core.synthesis.limits import Budget, Clock, Pace, SystemClock
from lore_core.synthesis.log import Reply, RequestLog
from lore_core.synthesis.reasons import Reason
from lore_core.synthesis.tasks import Request

REFUSED: Final = "the endpoint refused the request"
_NO_LIMIT: Final = 2**62  # the benchmark's size is the bound
T = TypeVar("T")
U = TypeVar("U")


class EndpointClient(TeacherClient):
    """The teacher's client with its pace, back-off and log; answers are checked for who gives them."""

    def __init__(self, endpoint: JudgedEndpoint, http: httpx.AsyncClient, log: RequestLog, clock: Clock) -> None:
        """`http` has the time-out."""
        pace = Pace(endpoint.requests_per_minute, clock)
        super().__init__(endpoint, http, log, Budget(_NO_LIMIT), pace, clock, endpoint.max_tries)
        self._expected = endpoint.answering_model

    def _read(self, body: Any, request: Request) -> Reply | None:
        reply = read_reply(_worded(body), request)
        if reply is not None and (found := body.get("model")) != self._expected:
            raise JobError(
                "WrongModel",
                f"endpoint: {self._endpoint.url} answered as model {str(found)[:256]!r}, not as {self._expected!r}; correct "
                "endpoint.model, or name in endpoint.answersAs what it calls itself",
                field="endpoint.model",
            )
        return reply

    def _misconfigured(self, response: httpx.Response) -> JobError:
        return JobError(
            "EndpointRefused",
            f"endpoint: {self._endpoint.url} answers {response.status_code} for the model {self._endpoint.model}: "
            f"{self._said(response)}; check url, model and the Secret's key `token`",
            field="endpoint",
        )


def _worded(body: Any) -> Any:
    """An answer whose content is null (a filter, or all tokens spent on reasoning) says nothing; it is not asked again."""
    try:
        message = body["choices"][0]["message"]
        if message["content"] is None:
            message["content"] = ""
    except (LookupError, TypeError):
        pass
    return body


class Chat:
    """One endpoint, asked under one bound on its answers."""

    def __init__(self, endpoint: JudgedEndpoint, client: EndpointClient, most_tokens: int) -> None:
        self._endpoint, self._client, self._most = endpoint, client, most_tokens

    async def ask(self, messages: Sequence[dict[str, Any]], temperature: float = 0.0, seed: int = 0) -> Reply | None:
        """The answer; None where the endpoint refuses this request. Raises JobError where it stays away."""
        try:
            return await self._client.ask(Request(self._body(messages, temperature, seed)))
        except Unanswered as error:
            if error.reason is Reason.REFUSED:
                return None
            raise JobError(
                "EndpointUnavailable",
                f"endpoint: {self._endpoint.url} gave no answer after {self._endpoint.max_tries} tries ({error.reason}); what "
                "was answered is kept and not paid again: look at the endpoint and its limits",
                field="endpoint",
            ) from error

    def _body(self, messages: Sequence[dict[str, Any]], temperature: float, seed: int) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._endpoint.model, "messages": list(messages)}
        if self._endpoint.reasoning_model:
            return {**body, "max_completion_tokens": self._most}
        return {**body, "max_tokens": self._most, "temperature": temperature, "seed": seed}


@contextlib.asynccontextmanager
async def chat(
    endpoint: JudgedEndpoint, requests: ArtifactRef, most_tokens: int, clock: Clock | None = None
) -> AsyncIterator[Chat]:
    """Ask an endpoint; its answers are kept at `requests`, those under way at the end too."""
    async with httpx.AsyncClient(timeout=endpoint.timeout_seconds, trust_env=False) as http:
        client = EndpointClient(endpoint, http, RequestLog(requests), clock or SystemClock())
        try:
            yield Chat(endpoint, client, most_tokens)
        finally:
            await client.close()


async def ask_all(
    config: EvaluateConfig,
    rules: RuleSource,
    pairs: Sequence[Pair],
    progress: Callable[[int], None],
    clock: Clock | None = None,
) -> list[AnswerRow]:
    """Answers in the pairs' order; `progress` is told of each. Raises JobError where the endpoint gives no usable ones."""
    endpoint, generation = config.endpoint, config.generation
    assert endpoint is not None
    assert generation is not None  # the config holds: an endpoint's answers are generated
    most = generation.max_reasoning_tokens + generation.max_answer_tokens
    async with chat(endpoint, config.requests, most, clock) as asked:
        rows = await crowd(
            _Asker(asked, generation, rules, endpoint.prompt_language), endpoint.concurrency, pairs, progress
        )
    check_answered(endpoint, sum(row.problem == REFUSED for row in rows), len(rows))
    return rows


def check_answered(endpoint: JudgedEndpoint, refused: int, asked: int) -> None:
    """An endpoint that refuses each request is configured wrongly, not a bad model. Raises JobError."""
    if asked and refused == asked:
        raise JobError(
            "EndpointRefused",
            f"endpoint: {endpoint.url} refused each of {asked} requests; check endpoint.reasoningModel and the token limits",
            field="endpoint",
        )


def asked_how(config: EvaluateConfig) -> dict[str, JsonValue]:
    """The parameters that an endpoint was asked under; what it makes of them is its own affair, and the report says so."""
    endpoint, generation = config.endpoint, config.generation
    assert endpoint is not None
    assert generation is not None
    sampling: dict[str, JsonValue] = {} if endpoint.reasoning_model else {"temperature": 0}
    return {
        "layout": "Chat",
        "protocol": "GeneratedAnswer",
        "server": "endpoint, flags unknown",
        "url": endpoint.url,
        "model": endpoint.model,
        "answersAs": endpoint.answering_model,
        "promptLanguage": endpoint.prompt_language.value,
        "generation": generation.model_dump(mode="json", by_alias=True),
        **sampling,
    }


async def crowd(
    ask: Callable[[T], Awaitable[U]], size: int, things: Sequence[T], progress: Callable[[int], None]
) -> list[U]:
    """What `ask` says of each thing, in their order, at most `size` at once. The first failure stops the rest."""
    found: dict[int, U] = {}
    queue = iter(enumerate(things))

    async def worker() -> None:
        for place, thing in queue:
            found[place] = await ask(thing)
            progress(1)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(size, len(things))):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first failure cancelled the others
    return [found[place] for place in range(len(things))]


class _Asker:
    """One pair after another: the answer, then the samples of pass@k."""

    def __init__(self, asked: Chat, generation: Generation, rules: RuleSource, language: PromptLanguage) -> None:
        self._chat, self._generation, self._rules, self._language = asked, generation, rules, language

    async def __call__(self, pair: Pair) -> AnswerRow:
        """Raises JobError where the endpoint stays away."""
        messages = chat_messages(pair, self._rules(pair), self._language)
        warm = float(self._generation.temperature)
        reply = await self._chat.ask(messages)
        if reply is None:
            return AnswerRow.of(pair, problem=REFUSED)
        seeds = [sample_seed(pair, number) for number in range(self._generation.samples)]
        samples = [await self._chat.ask(messages, warm, seed) for seed in seeds]
        said = read_chat(reply.text, cut=reply.cut)
        sampled = [read_chat(one.text, cut=one.cut).label if one else None for one in samples]
        return AnswerRow.of(
            pair,
            answer=said.label,
            mismatch=said.mismatch,
            problem=None if said.parsed else CUT if reply.cut else NO_LABEL,
            trace=said.reasoning or None,
            samples=tuple(sampled),
            checked=tuple(False for _ in sampled),
            prompt_tokens=reply.prompt_tokens,
            output_tokens=reply.completion_tokens,
        )
