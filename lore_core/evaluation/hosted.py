"""Answers of a model behind an OpenAI-compatible chat endpoint: paid once, and taken only from the model that was asked.

An endpoint that stays away ends the evaluation, which goes on later with what was answered; one that answers under another
model's name ends it for good. A request that the endpoint refuses (too long, filtered) is an answer without a label.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from pydantic import JsonValue

from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.generated import CUT, NO_LABEL, sample_seed
from lore_core.jobs import EvaluateConfig, Generation, JudgedEndpoint
from lore_core.jobs.errors import JobError
from lore_core.prompts import RuleSource
from lore_core.prompts.chat import chat_messages, read_chat
from lore_core.records import Pair
from lore_core.synthesis.client import TeacherClient, Unanswered, read_reply
from lore_core.synthesis.limits import Budget, Clock, Pace, SystemClock
from lore_core.synthesis.log import Reply, RequestLog
from lore_core.synthesis.reasons import Reason
from lore_core.synthesis.tasks import Request

REFUSED = "the endpoint refused the request"
_NO_LIMIT = 2**62  # the benchmark's size is the bound


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
            f"{response.text[:200]}; check url, model and the Secret's key `token`",
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
    async with httpx.AsyncClient(timeout=endpoint.timeout_seconds, trust_env=False) as http:
        client = EndpointClient(endpoint, http, RequestLog(config.requests), clock or SystemClock())
        try:
            rows = await _crowd(_Asker(endpoint, generation, rules, client), endpoint.concurrency, pairs, progress)
        finally:
            await client.close()
    if rows and all(row.problem == REFUSED for row in rows):
        raise JobError(
            "EndpointRefused",
            f"endpoint: {endpoint.url} refused each of {len(rows)} requests; check endpoint.reasoningModel and the token limits",
            field="endpoint",
        )
    return rows


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
        "generation": generation.model_dump(mode="json", by_alias=True),
        **sampling,
    }


async def _crowd(ask: "_Asker", size: int, pairs: Sequence[Pair], progress: Callable[[int], None]) -> list[AnswerRow]:
    found: dict[int, AnswerRow] = {}
    queue = iter(enumerate(pairs))

    async def worker() -> None:
        for place, pair in queue:
            found[place] = await ask(pair)
            progress(1)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(size, len(pairs))):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first failure cancelled the others
    return [found[place] for place in range(len(pairs))]


class _Asker:
    """One pair after another: the answer, then the samples of pass@k."""

    def __init__(
        self, endpoint: JudgedEndpoint, generation: Generation, rules: RuleSource, client: EndpointClient
    ) -> None:
        self._endpoint, self._generation, self._rules, self._client = endpoint, generation, rules, client

    async def __call__(self, pair: Pair) -> AnswerRow:
        """Raises JobError where the endpoint stays away."""
        reply = await self._ask(pair, None)
        if reply is None:
            return AnswerRow.of(pair, problem=REFUSED)
        samples = [await self._ask(pair, number) for number in range(self._generation.samples)]
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

    async def _ask(self, pair: Pair, sample: int | None) -> Reply | None:
        """None where this request is refused."""
        try:
            return await self._client.ask(Request(self._body(pair, sample)))
        except Unanswered as error:
            if error.reason is Reason.REFUSED:
                return None
            raise JobError(
                "EndpointUnavailable",
                f"endpoint: {self._endpoint.url} gave no answer after {self._endpoint.max_tries} tries ({error.reason}); what "
                "was answered is kept and not paid again: look at the endpoint and its limits",
                field="endpoint",
            ) from error

    def _body(self, pair: Pair, sample: int | None) -> dict[str, Any]:
        most = self._generation.max_reasoning_tokens + self._generation.max_answer_tokens
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": chat_messages(pair, self._rules(pair)),
        }
        if self._endpoint.reasoning_model:
            return {**body, "max_completion_tokens": most}
        if sample is None:
            return {**body, "max_tokens": most, "temperature": 0, "seed": 0}
        seed = sample_seed(pair, sample)
        return {**body, "max_tokens": most, "temperature": float(self._generation.temperature), "seed": seed}
