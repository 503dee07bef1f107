"""The router's endpoints. Each request sees one configuration from beginning to end, whatever is swapped meanwhile."""

import asyncio
import math
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from lore_core.router import answers, openapi, requests
from lore_core.router.answering import Answer, Fallback, Question, begin, finish
from lore_core.router.auth import BearerTokens
from lore_core.router.config import STRATA, Limits, PendingConfig, RouterState
from lore_core.router.explain import explain
from lore_core.router.http import Request, Response
from lore_core.router.loaded import Serving
from lore_core.router.metrics import RouterMetrics
from lore_core.router.served_log import ServedLog
from lore_core.router.shadow import Comparison, Shadow
from lore_core.router.spans import Attribute, Traced, untraced
from lore_core.router.statistics import Statistics
from lore_core.router.traffic import LiveTraffic

_TELL_SECONDS: Final = 10.0
_BUCKET: Final = "x-lore-bucket"
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
Encode = Callable[[Answer, float], Response]
Result = Response | Awaitable[Response]


class RouterApp:
    """Answers requests from `serving`; who loads configurations sets it, in one assignment."""

    def __init__(self, metrics: RouterMetrics, tokens: BearerTokens | None = None) -> None:
        self.metrics, self._tokens = metrics, tokens
        self.serving: Serving | None = None
        self.pending: PendingConfig | None = None
        self.draining = False
        self.served: ServedLog | None = None
        self.trace: Callable[[str, Mapping[str, str]], Traced] = untraced
        self.statistics, self.traffic = Statistics(), LiveTraffic()
        self._shadow = Shadow(self._mirrored)
        self._told: dict[tuple[str, str], float] = {}
        self._get: dict[str, Callable[[], Result]] = {
            "/healthz": self._health,
            "/readyz": self._ready,
            "/metrics": lambda: self._counted(self._metrics),
            "/state": lambda: self._counted(self._state),
            "/openapi.json": self._openapi,
        }
        self._post = {
            "/v1/relevance": self._relevance,
            "/v1/rerank": self._rerank,
            "/v2/rerank": self._rerank,  # where Cohere's v2 clients post
            "/v1/explain": self._explain,
        }

    def operations(self, request: Request) -> Result:
        """One request on the port of probes and scrapes, where questions are answered over TLS elsewhere."""
        if request.path in self._get:
            return self(request)
        return self.refuse(404, f"{request.path}: no such path here; questions are answered on the TLS port")

    def __call__(self, request: Request) -> Result:
        """One request; never raises."""
        try:
            return self._routed(request)
        except requests.BadRequest as error:
            return self.refuse(error.status, str(error), error.field)
        except Exception as error:
            return self._internal(error)

    def refuse(self, status: int, message: str, field: str | None = None) -> Response:
        """A counted refusal."""
        self.metrics.refused(status)
        return answers.refusal(status, message, field)

    def _routed(self, request: Request) -> Result:
        if (page := self._get.get(request.path)) is not None:
            return page() if request.method == "GET" else self.refuse(405, f"{request.path}: use GET")
        verb = self._post.get(request.path)
        if verb is None:
            return self.refuse(404, f"{request.path}: no such path")
        if request.method != "POST":
            return self.refuse(405, f"{request.path}: use POST")
        if self._tokens is not None and (refused := self._not_admitted(self._tokens, request)) is not None:
            return refused
        if self.serving is None:
            return self.refuse(503, "no configuration is loaded yet; see /state")
        return verb(self.serving, request)

    def _not_admitted(self, tokens: BearerTokens, request: Request) -> Response | None:
        """The refusal of a caller without a token that is known, or beyond its quota."""
        client = tokens.client(request.headers.get("authorization"))
        if client is None:
            return self.refuse(401, "authorization: a bearer token that this router knows is needed")
        wait = tokens.wait(client)
        self.metrics.asked_by(client.name, over=wait > 0)
        if not wait:
            return None
        refusal = self.refuse(429, f"{client.name} may send {client.rate:g} requests a second to one router")
        return msgspec.structs.replace(refusal, headers={"retry-after": str(math.ceil(wait))})

    def _relevance(self, serving: Serving, request: Request) -> Result:
        asked = requests.relevance(request.body, serving.config.limits)
        return self._answered(
            serving, asked, request, lambda answer, seconds: answers.relevance(asked, answer, seconds)
        )

    def _rerank(self, serving: Serving, request: Request) -> Result:
        ranked = requests.rerank(request.body, serving.config.limits)

        def encode(answer: Answer, _: float) -> Response:
            best, name = answers.ranking(ranked, answer), str(uuid.uuid4())
            if self.served is not None:
                self.served.offer(name, ranked.asked, answer, best)
            return answers.rerank(ranked, answer, best, name)

        return self._answered(serving, ranked.asked, request, encode)

    def _explain(self, serving: Serving, request: Request) -> Result:
        asked = requests.explain(request.body, serving.config.limits)
        return answers.explanation(explain(serving, asked.query, asked.market, request.headers.get(_BUCKET, "")))

    def _answered(self, serving: Serving, asked: requests.Asked, request: Request, encode: Encode) -> Result:
        started, traced = time.perf_counter(), self.trace(request.path, request.headers)
        found = begin(serving, asked, request.headers.get(_BUCKET, ""))

        def encoded(answer: Answer) -> Response:
            seconds = time.perf_counter() - started
            if traced.span is not None:
                traced.end(_told(answer))
            asyncio.get_running_loop().call_soon(self._account, serving, asked, answer, seconds)
            return encode(answer, seconds)

        if isinstance(found, Question):
            return self._waited(found, traced, encoded)
        return encoded(found)

    async def _waited(self, question: Question, traced: Traced, encoded: Callable[[Answer], Response]) -> Response:
        if traced.lines:
            traced.enter()  # in this task alone
        self.metrics.waiting += 1
        try:
            return encoded(await finish(question))
        except Exception as error:
            traced.end({}, type(error).__name__)
            return self._internal(error)
        finally:
            self.metrics.waiting -= 1

    def _account(self, serving: Serving, asked: requests.Asked, answer: Answer, seconds: float) -> None:
        """What an answer is counted and mirrored for, once its caller has it."""
        self.metrics.answered(answer, seconds)
        self.statistics.answered(answer)
        self.traffic.asked(answer.weight_stratum)
        for fallback in answer.fallbacks:
            self._tell(answer.revision, fallback)
        self._shadow.offer(serving, asked, answer)

    def _mirrored(self, comparison: Comparison) -> None:
        self.metrics.mirrored(comparison)
        self.statistics.compared(comparison)

    def _tell(self, revision: str, fallback: Fallback) -> None:
        """Say why a tier failed, each kind of failure at most every ten seconds; the metrics count all."""
        kind, now = (fallback.tier, fallback.reason), time.monotonic()
        if now - self._told.get(kind, -_TELL_SECONDS) >= _TELL_SECONDS:
            self._told[kind] = now
            print(f"router: {revision}: {fallback.tier}: {fallback.reason}: {fallback.message}", file=sys.stderr)

    def _internal(self, error: Exception) -> Response:
        print(f"router: {type(error).__name__}: {error}", file=sys.stderr)
        return self.refuse(500, "the router failed; its log says why")

    def _health(self) -> Response:
        return Response(200, b"ok\n", "text/plain")

    def _ready(self) -> Response:
        if self.serving is None or self.draining:
            return Response(503, b"draining\n" if self.draining else b"no configuration\n", "text/plain")
        return Response(200, b"ok\n", "text/plain")

    async def _counted(self, page: Callable[[], Response]) -> Response:
        """A page in which whoever holds an answer finds it counted.

        That happens one step of the loop after the answer is written, and uvloop may read the next request before that step;
        the task of this page comes after it.
        """
        try:
            return page()
        except Exception as error:
            return self._internal(error)

    def _metrics(self) -> Response:
        return Response(200, self.metrics.text(), _TEXT)

    def _state(self) -> Response:
        return Response(200, self.state().model_dump_json(by_alias=True).encode())

    def _openapi(self) -> Response:
        return Response(200, openapi.document_bytes())

    def max_body(self) -> int:
        """Largest request body in bytes."""
        return (self.serving.config.limits if self.serving is not None else Limits()).max_body_bytes

    def state(self) -> RouterState:
        """What serves now, and what waits to."""
        if self.serving is None:
            return RouterState(pending=self.pending)
        compositions = self.serving.config.compositions
        return RouterState(
            config_hash=self.serving.config_hash,
            loaded=tuple(c.revision for c in compositions),
            active=tuple(c.revision for c in compositions if any(map(c.weights.of, STRATA))),
            pending=self.pending,
            statistics=self.statistics.told(),
            traffic=self.traffic.told(),
        )


def _told(answer: Answer) -> dict[str, Attribute]:
    """What a trace says of an answer: nothing of the query or of an item."""
    return {
        "lore.stratum": answer.stratum,
        "lore.tier": answer.tier,
        "lore.revision": answer.revision,
        "lore.sources": tuple(sorted(set(answer.sources))),
        "lore.items": len(answer.sources),
        "lore.fallbacks": len(answer.fallbacks),
        "http.response.status_code": 200,
    }
