"""Which questions are traced, what a receiver is sent, and which settings are refused."""

import asyncio
import json
from collections import Counter

import pytest

from lore_core.router.otlp import Exporter, TraceSettings, encoded, settings_from
from lore_core.router.spans import SERVER, Span, Tracer

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}


def test_without_an_endpoint_nothing_is_traced() -> None:
    assert settings_from({"OTEL_TRACES_SAMPLER_ARG": "1", "OTEL_SERVICE_NAME": "x"}) is None


def test_the_environment_names_receiver_share_service_and_headers() -> None:
    more = {"OTEL_TRACES_SAMPLER_ARG": "0.25", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20a,tenant=b"}
    found = settings_from(ENDPOINT | more)
    headers = {"authorization": "Bearer a", "tenant": "b"}
    assert found == TraceSettings("http://collector:4318/v1/traces", 0.25, "lore-router", headers)
    whole = settings_from(ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other/in"})
    assert whole is not None
    assert whole.url == "https://other/in"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_TRACES_SAMPLER_ARG", "5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "=s3cret"),
    ],
)
def test_a_setting_that_is_not_understood_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name) as refused:
        settings_from(ENDPOINT | {name: value})
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(("flags", "kept"), [("01", 1), ("00", 0)])
def test_the_callers_decision_holds_whatever_the_share(flags: str, kept: int) -> None:
    spans: list[Span] = []
    sent = f"00-{TRACE}-{PARENT}-{flags}"
    traced = Tracer(1.0 - kept, spans.append).begin("/v1/relevance", {"traceparent": sent, "tracestate": "a=b"})
    traced.end({})
    assert [(span.trace_id, span.parent_id, span.state) for span in spans] == [(TRACE, PARENT, "a=b")] * kept
    assert (sent in traced.lines) == (not kept)
    assert traced.lines.endswith("tracestate: a=b\r\n")


def test_a_share_of_the_other_questions_is_traced_and_predictors_are_told() -> None:
    traced = [Tracer(0.25, lambda _: None).begin("/", {}) for _ in range(4000)]
    assert 800 < sum(one.span is not None for one in traced) < 1200
    assert all(one.lines.endswith("-01\r\n" if one.span else "-00\r\n") for one in traced)
    assert [Tracer(ratio, lambda _: None).begin("/", {}).span is not None for ratio in (0.0, 1.0)] == [False, True]


def test_json_has_hexadecimal_ids_and_integers_as_strings() -> None:
    span = Span("POST /", SERVER, TRACE, PARENT, "", {"n": 3, "s": ("a", "b")}, "KeyError", "00f067aa0ba902b7", 1, 2)
    [resource] = json.loads(encoded([span], "shop"))["resourceSpans"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "shop"}}]
    [told] = resource["scopeSpans"][0]["spans"]
    assert (told["traceId"], told["spanId"], told["parentSpanId"]) == (TRACE, "00f067aa0ba902b7", PARENT)
    assert (told["kind"], told["startTimeUnixNano"], told["endTimeUnixNano"]) == (2, "1", "2")
    assert told["status"] == {"code": 2}
    assert told["attributes"] == [
        {"key": "n", "value": {"intValue": "3"}},
        {"key": "s", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}},
        {"key": "error.type", "value": {"stringValue": "KeyError"}},
    ]


async def test_what_the_queue_cannot_hold_is_dropped_and_what_nobody_takes_is_lost_and_both_are_counted() -> None:
    counted: Counter[str] = Counter()
    settings = TraceSettings("http://127.0.0.1:1/v1/traces", 1.0, "lore-router", {})
    exporter = Exporter(settings, lambda result, count: counted.update({result: count}))
    for _ in range(2050):  # before the event loop gets to send anything
        exporter.keep(Span("POST /", SERVER, TRACE, ""))
    await asyncio.wait_for(exporter.close(), 60)
    assert counted == {"dropped": 2, "failed": 2048}
