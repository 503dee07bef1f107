"""The teacher's client: OpenAI chat completions with pace, back-off, a budget, and the log of what was paid."""

import asyncio
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from lore_core.artifacts.ref import CredentialKeys, credential
from lore_core.jobs.config import Endpoint
from lore_core.jobs.errors import JobError
from lore_core.synthesis.limits import Budget, Clock, Pace, wait_before
from lore_core.synthesis.log import Reply, RequestLog
from lore_core.synthesis.reasons import Reason
from lore_core.synthesis.tasks import Request

_MISCONFIGURED: Final = frozenset({401, 403, 404, 405})
_REFUSED: Final = frozenset({400, 413, 422})  # this request only, for example one longer than the teacher's context
_MOST_BYTES: Final = 4 << 20


class Unanswered(Exception):
    """A request that got no answer; the pair is skipped and counted."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass
class Usage:
    """What was asked and what it cost, so far."""

    asked: int = 0
    reused: int = 0
    tries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def answered(self, reply: Reply) -> None:
        """Count a paid answer."""
        self.asked += 1
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        self.estimated += reply.estimated


class TeacherClient:
    """Asks one endpoint. Equal requests, also those under way, are asked once."""

    def __init__(
        self,
        endpoint: Endpoint,
        http: httpx.AsyncClient,
        log: RequestLog,
        budget: Budget,
        pace: Pace,
        clock: Clock,
        tries: int,
    ) -> None:
        """`http` has the time-out; `budget` and `pace` may be shared with other clients."""
        self.usage = Usage()
        self._endpoint, self._http, self._log, self._budget = endpoint, http, log, budget
        self._pace, self._clock, self._tries = pace, clock, tries
        self._open: dict[str, asyncio.Task[Reply]] = {}
        self._closing = False

    async def ask(self, request: Request) -> Reply:
        """The answer. Raises Unanswered, or JobError where no request of this endpoint can ever succeed."""
        key = request.key
        if (task := self._open.get(key)) is None:
            task = self._open[key] = asyncio.create_task(self._answer(key, request))
            task.add_done_callback(lambda _: self._open.pop(key, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let what is under way end, so that an answer that is paid is kept; nothing is tried again."""
        self._closing = True
        await asyncio.gather(*self._open.values(), return_exceptions=True)

    async def _answer(self, key: str, request: Request) -> Reply:
        if (kept := await asyncio.to_thread(self._log.get, key)) is not None:
            self.usage.reused += 1
            return kept
        reserved = request.most_tokens
        if not self._budget.reserve(reserved):
            raise Unanswered(Reason.BUDGET_SPENT)
        used = 0
        try:
            reply = await self._try(request)
            used = reply.tokens
        finally:
            self._budget.settle(reserved, used)
        self.usage.answered(reply)
        await asyncio.to_thread(self._log.put, key, reply)
        return reply

    async def _try(self, request: Request) -> Reply:
        reason = Reason.SERVER_ERROR
        for number in range(self._tries):
            await self._pace.turn()
            self.usage.tries += 1
            found, asked = await self._once(request)
            if isinstance(found, Reply):
                return found
            reason = found
            self.usage.failures[reason] = self.usage.failures.get(reason, 0) + 1
            if self._closing or reason is Reason.REFUSED or number + 1 == self._tries:
                break
            wait = wait_before(number + 1, asked)
            if reason is Reason.RATE_LIMITED:
                self._pace.hold(wait)
            await self._clock.sleep(wait)
        raise Unanswered(reason)

    async def _once(self, request: Request) -> tuple[Reply | Reason, float | None]:
        try:
            response = await self._http.post(
                f"{self._endpoint.url.rstrip('/')}/chat/completions", json=dict(request.body), headers=self._headers()
            )
        except httpx.TimeoutException:
            return Reason.TIMEOUT, None
        except httpx.TransportError:
            return Reason.SERVER_ERROR, None
        if response.status_code == 429:
            return Reason.RATE_LIMITED, _retry_after(response)
        if response.status_code in _MISCONFIGURED:
            raise self._misconfigured(response)
        if response.status_code in _REFUSED:
            return Reason.REFUSED, None
        if response.status_code != 200 or len(response.content) > _MOST_BYTES:
            return Reason.SERVER_ERROR, _retry_after(response)
        try:
            body = response.json()
        except (ValueError, RecursionError):
            return Reason.SERVER_ERROR, None
        return self._read(body, request) or Reason.SERVER_ERROR, None

    def _read(self, body: Any, request: Request) -> Reply | None:
        """The reply of an answer's body, None for none that can be used; whoever asks others checks more here."""
        return read_reply(body, request)

    def _headers(self) -> dict[str, str]:
        token = credential(self._endpoint.credentials, CredentialKeys.TOKEN)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _misconfigured(self, response: httpx.Response) -> JobError:
        return JobError(
            "TeacherRefused",
            f"teacher: {self._endpoint.url} answers {response.status_code} for the model {self._endpoint.model}: "
            f"{self._said(response)}; check url, model and the Secret's key `token`",
            field="spec.teacher",
        )

    def _said(self, response: httpx.Response) -> str:
        """What the server says, for a report that people read: without the token, which some servers give back."""
        token = credential(self._endpoint.credentials, CredentialKeys.TOKEN)
        return (response.text.replace(token, "(token)") if token else response.text)[:200]


def read_reply(body: Any, request: Request) -> Reply | None:
    """Text and tokens of a chat completion; None where it is none."""
    try:
        choice = body["choices"][0]
        text, cut = choice["message"]["content"], choice.get("finish_reason") == "length"
    except (LookupError, TypeError, AttributeError):
        return None
    if not isinstance(text, str):
        return None
    usage = body.get("usage")
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else []
    if len(counts) == 2 and all(isinstance(count, int) and count >= 0 for count in counts):
        return Reply(text=text, prompt_tokens=counts[0], completion_tokens=counts[1], cut=cut)
    estimate = max(1, len(text.encode("utf-8", "surrogatepass")) // 4)
    prompt = (request.most_tokens - request.most_answer_tokens) // 2
    return Reply(text=text, prompt_tokens=prompt, completion_tokens=estimate, estimated=True, cut=cut)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait (RFC 9110), where it says so in a number or a date."""
    text = response.headers.get("retry-after", "")
    if text.isdecimal():
        return float(text[:6])
    try:
        asked, now = parsedate_to_datetime(text), parsedate_to_datetime(response.headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, (asked - now).total_seconds())
