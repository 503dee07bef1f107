"""OpenTelemetry spans of one question: a server span, and a client span for each request to a predictor.

Attributes follow the semantic conventions for HTTP spans (https://opentelemetry.io/docs/specs/semconv/http/http-spans/); what
is ours begins with `lore.`. Queries, item ids and item texts are never attributes.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from lore_core.router.trace import OUTGOING, TRACEPARENT, TRACESTATE, trace_lines

SERVER: Final = 2
CLIENT: Final = 3
"""SpanKind of opentelemetry.proto.trace.v1."""
_SAMPLED: Final = 1
_RATIO_BITS: Final = 63

Attribute = str | int | tuple[str, ...]


@dataclass(slots=True)
class Span:
    """One span; times in nanoseconds since 1970, `error` the class of what went wrong."""

    name: str
    kind: int
    trace_id: str
    parent_id: str
    state: str = ""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    error: str = ""
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started: int = field(default_factory=time.time_ns)
    ended: int = 0

    def lines(self) -> str:
        """Header lines that make the receiver's spans children of this one."""
        state = f"{TRACESTATE}: {self.state}\r\n" if self.state else ""
        return f"{TRACEPARENT}: 00-{self.trace_id}-{self.span_id}-01\r\n{state}"


@dataclass(frozen=True, slots=True)
class Traced:
    """How one question is traced: the header lines to send on, and its server span where it is sampled."""

    lines: str
    span: Span | None = None
    keep: Callable[[Span], None] = lambda _: None

    def enter(self) -> None:
        """Requests to predictors that the current task sends belong to this question from now on."""
        OUTGOING.set(self.lines)
        _QUESTION.set(self if self.span is not None else None)

    def end(self, attributes: Mapping[str, Attribute], error: str = "") -> None:
        """The question was answered, or failed."""
        if self.span is not None:
            self.span.attributes.update(attributes)
            self.span.error, self.span.ended = error, time.time_ns()
            self.keep(self.span)


_QUESTION: ContextVar[Traced | None] = ContextVar("question", default=None)
_ALONE: Final = Traced("")


class Tracer:
    """Decides which questions are traced: the caller's decision where it sent one, else a share `ratio` of trace ids."""

    def __init__(self, ratio: float, keep: Callable[[Span], None]) -> None:
        self._bound, self._keep = int(ratio * (1 << _RATIO_BITS)), keep

    def begin(self, path: str, headers: Mapping[str, str]) -> Traced:
        """One question. What is not sampled here is not sampled by predictors either."""
        sent = trace_lines(headers)
        if sent:
            _, trace_id, parent_id, flags = headers[TRACEPARENT].split("-")
            sampled, state = int(flags, 16) & _SAMPLED, headers.get(TRACESTATE, "") if TRACESTATE in sent else ""
        else:
            trace_id, parent_id, state = secrets.token_hex(16), "", ""
            sampled = int(trace_id[16:], 16) >> 1 < self._bound
        if not sampled:
            return Traced(sent or f"{TRACEPARENT}: 00-{trace_id}-{secrets.token_hex(8)}-00\r\n")
        about: dict[str, Attribute] = {"http.request.method": "POST", "url.path": path}
        span = Span(f"POST {path}", SERVER, trace_id, parent_id, state, about)
        return Traced(span.lines(), span, self._keep)


def untraced(_: str, headers: Mapping[str, str]) -> Traced:
    """Without a tracer: what the caller sent is passed on unchanged."""
    return Traced(lines) if (lines := trace_lines(headers)) else _ALONE


def unsampled() -> str | None:
    """The header lines of a request to a predictor whose question is not sampled; None where it is, which takes `asking`."""
    return OUTGOING.get() if _QUESTION.get() is None else None


@contextmanager
def asking(path: str, host: str, port: int) -> Iterator[str]:
    """A client span around one request to a predictor, whose question is sampled; gives the header lines to send."""
    question = _QUESTION.get()
    assert question is not None
    above = question.span
    assert above is not None  # `enter` sets only what has one
    about: dict[str, Attribute] = {
        "http.request.method": "POST", "url.path": path, "server.address": host, "server.port": port,
    }  # fmt: skip
    span = Span(f"POST {path}", CLIENT, above.trace_id, above.span_id, above.state, about)
    try:
        yield span.lines()
    except BaseException as error:  # a deadline or a hedge that was overtaken cancels
        span.error = type(error).__name__
        raise
    finally:
        span.ended = time.time_ns()
        question.keep(span)
