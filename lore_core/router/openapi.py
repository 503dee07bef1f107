"""The router's OpenAPI 3.1 document, made from the very types that requests are decoded into and answers encoded from."""

from functools import cache
from typing import Any, Final

import msgspec

import lore_core
from lore_core.router.answers import Refusal, RelevanceAnswer, RerankAnswer
from lore_core.router.config import RouterState
from lore_core.router.explain import Explanation
from lore_core.router.requests import ExplainBody, RelevanceBody, RerankBody

_TYPES: Final = (RelevanceBody, RelevanceAnswer, RerankBody, RerankAnswer, ExplainBody, Explanation, Refusal)
_REFUSALS: Final = {
    "400": "a field is missing, unknown, empty, repeated or too large, or the body is not JSON in UTF-8",
    "401": "the router asks for bearer tokens, and none that it knows was given",
    "408": "the request took too long to arrive",
    "413": "the body is too large",
    "429": "the client is over its quota",
    "503": "no configuration is loaded yet",
}
_STATE: Final = "RouterState"


@cache
def document_bytes() -> bytes:
    """The document as it is served at `/openapi.json`."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=1)


def document() -> dict[str, Any]:
    """The document."""
    schemas, components = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    names = dict(zip(_TYPES, (schema["$ref"] for schema in schemas), strict=True))
    rerank = _post("Documents by relevance, in the shape of Cohere and Jina", names[RerankBody], names[RerankAnswer])
    state = RouterState.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    components |= state.pop("$defs", {}) | {_STATE: state}
    return {
        "openapi": "3.1.0",
        "info": {"title": "LORE router", "version": lore_core.__version__},
        "paths": {
            "/v1/relevance": _post("Label, probabilities and grade of each item", names[RelevanceBody], names[RelevanceAnswer]),
            "/v1/rerank": rerank,
            "/v2/rerank": rerank,
            "/v1/explain": _post("Why a query is answered as it is", names[ExplainBody], names[Explanation]),
            "/state": {"get": _get("What serves, and what waits to", {"$ref": f"#/components/schemas/{_STATE}"})},
            "/healthz": {"get": _text("The process runs")},
            "/readyz": {"get": _text("A configuration serves", {"503": {"description": "not yet, or draining"}})},
            "/metrics": {"get": _text("Prometheus metrics")},
            "/openapi.json": {"get": _get("This document", {"type": "object"})},
        },
        "components": {"schemas": components, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }  # fmt: skip


def _post(summary: str, asked: str, answered: str) -> dict[str, Any]:
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    headers = {name: {"schema": {"type": "string"}} for name in ("x-lore-stratum", "x-lore-revision")}
    found = {
        "description": summary,
        "content": {"application/json": {"schema": {"$ref": answered}}},
        "headers": headers,
    }
    refused = {status: {"description": text, "content": refusal} for status, text in _REFUSALS.items()}
    operation = {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": asked}}}},
        "responses": {"200": found, **refused},
        "security": [{}, {"bearer": []}],
    }
    return {"post": operation}


def _get(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    found = {"description": summary, "content": {"application/json": {"schema": schema}}}
    return {"summary": summary, "responses": {"200": found}}


def _text(summary: str, others: dict[str, Any] | None = None) -> dict[str, Any]:
    found = {"description": summary, "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"summary": summary, "responses": {"200": found, **(others or {})}}
