"""Spans to a collector by OTLP over HTTP, in JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp).

Settings are OpenTelemetry's own environment variables; without an endpoint there is no tracing. Spans wait in a bounded queue;
what does not fit or is not taken is counted and forgotten, and no question ever waits for it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpx
import msgspec

from lore_core.router.spans import Attribute, Span

_QUEUE: Final = 2048
_BATCH: Final = 512
_EVERY_SECONDS: Final = 1.0
_SEND_SECONDS: Final = 5.0
_ERROR_STATUS: Final = 2
_SAMPLER: Final = "parentbased_traceidratio"
_PROTOCOL: Final = "http/json"
Count = Callable[[str, int], None]
"""Told how many spans were `exported`, `failed` or `dropped`."""


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Where spans go, and of which share of the questions that come without a caller's decision."""

    url: str
    ratio: float
    service: str
    headers: Mapping[str, str]


def settings_from(environment: Mapping[str, str]) -> TraceSettings | None:
    """None where no endpoint is named. Raises ValueError that names the variable at fault and what it may be."""
    url = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    if not url and (base := environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")):
        url = f"{base.rstrip('/')}/v1/traces"
    if not url:
        return None
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT: {url} is no http:// or https:// address of an OTLP/HTTP receiver"
        )
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        _only(environment, name, _PROTOCOL)
    _only(environment, "OTEL_TRACES_SAMPLER", _SAMPLER)
    sent = environment.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environment.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    ratio = _ratio(environment.get("OTEL_TRACES_SAMPLER_ARG") or "1")
    return TraceSettings(url, ratio, environment.get("OTEL_SERVICE_NAME") or "lore-router", _headers(sent))


def _only(environment: Mapping[str, str], name: str, value: str) -> None:
    if environment.get(name, value) != value:
        raise ValueError(f"{name}: {environment[name]} is not known here; leave it out or set {value}")


def _ratio(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (ratio := float(text)) <= 1:
            return ratio
    raise ValueError(f"OTEL_TRACES_SAMPLER_ARG: {text} is no share between 0 and 1")


def _headers(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if any(
        not equals or not name.strip() for name, equals, _ in pairs
    ):  # the value may be a secret: it is not repeated
        raise ValueError("OTEL_EXPORTER_OTLP_HEADERS: not NAME=VALUE,NAME=VALUE")
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


class Exporter:
    """Sends what `keep` was given, in batches, beside the event loop's other work."""

    def __init__(self, settings: TraceSettings, count: Count) -> None:
        self._settings, self._count = settings, count
        self._waiting: deque[Span] = deque()
        self._client = httpx.AsyncClient(timeout=_SEND_SECONDS, trust_env=False)
        self._task = asyncio.create_task(self._run())

    def keep(self, span: Span) -> None:
        """A span that ended; returns at once."""
        if len(self._waiting) < _QUEUE:
            self._waiting.append(span)
        else:
            self._count("dropped", 1)

    async def close(self) -> None:
        """Send what waits, for at most the time of one request, and stop."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEND_SECONDS):
                await self._flush()
        await self._client.aclose()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            taken = "failed"
            try:
                with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
                    taken = await self._sent(batch)
            finally:
                self._count(taken, len(batch))

    async def _sent(self, batch: list[Span]) -> str:
        headers = {**self._settings.headers, "content-type": "application/json"}
        content = encoded(batch, self._settings.service)
        answer = await self._client.post(self._settings.url, content=content, headers=headers)
        return "exported" if answer.is_success else "failed"


def encoded(spans: list[Span], service: str) -> bytes:
    """An ExportTraceServiceRequest in OTLP's JSON: ids in hexadecimal, 64-bit integers as strings."""
    resource = {"attributes": _attributes({"service.name": service})}
    scope = {"scope": {"name": "lore_core.router"}, "spans": [_span(span) for span in spans]}
    return msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})


def _span(span: Span) -> dict[str, Any]:
    error = {"error.type": span.error} if span.error else {}
    return {
        "traceId": span.trace_id, "spanId": span.span_id, "parentSpanId": span.parent_id, "traceState": span.state,
        "name": span.name, "kind": span.kind, "startTimeUnixNano": str(span.started), "endTimeUnixNano": str(span.ended),
        "attributes": _attributes({**span.attributes, **error}),
        "status": {"code": _ERROR_STATUS} if span.error else {},
    }  # fmt: skip


def _attributes(attributes: Mapping[str, Attribute]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Attribute) -> dict[str, Any]:
    if isinstance(value, tuple):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
