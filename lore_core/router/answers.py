"""Answers as JSON: relevance, rerank (Cohere v2 and Jina shape) and refusals."""

from typing import Final

import msgspec

from lore_core.records.label import LABELS
from lore_core.router.answering import NEUTRAL, Answer
from lore_core.router.http import Response
from lore_core.router.requests import Asked, AskedRerank

_NAMES: Final = tuple(label.value for label in LABELS)
_LOWEST: Final = 1.0
_RANGE: Final = 3.0
"""Calibrated grades run from 1 (L1) to 4 (L4); a rerank score is their place between the two."""


class _Item(msgspec.Struct, gc=False):
    id: str
    label: str
    probabilities: list[float]
    grade: float
    tier: str
    source: str


class _Relevance(msgspec.Struct):
    stratum: str
    revision: str
    tier: str
    latency_ms: float
    items: list[_Item]


class _Document(msgspec.Struct):
    text: str


class _Ranked(msgspec.Struct, omit_defaults=True):
    index: int
    relevance_score: float
    document: _Document | None = None


class _Usage(msgspec.Struct):
    total_tokens: int


class _Rerank(msgspec.Struct):
    id: str
    model: str
    results: list[_Ranked]
    usage: _Usage


_encode: Final = msgspec.json.Encoder().encode


def relevance(asked: Asked, answer: Answer, seconds: float) -> Response:
    """The answer to `/v1/relevance`; items in the order asked."""
    rows = zip(
        asked.items, _labels(answer), answer.probabilities.tolist(), answer.grades.tolist(), answer.tiers,
        answer.sources, strict=True,
    )  # fmt: skip
    items = [_Item(item.id or "", label, p, grade, tier, source) for item, label, p, grade, tier, source in rows]
    body = _Relevance(answer.stratum, answer.revision, answer.tier, round(seconds * 1000, 3), items)
    return Response(200, _encode(body), headers=_headers(answer))


def _labels(answer: Answer) -> list[str]:
    best = answer.probabilities.argmax(axis=1).tolist()
    return [
        answer.neutral_label if tier == NEUTRAL else _NAMES[index]
        for index, tier in zip(best, answer.tiers, strict=True)
    ]


def rerank(asked: AskedRerank, answer: Answer, request_id: str) -> Response:
    """The answer to `/v1/rerank`: the best `top_n` documents, best first, equal ones in the order given."""
    grades = answer.grades.tolist()
    best = sorted(range(len(grades)), key=lambda index: (-grades[index], index))[: asked.top_n]
    results = [
        _Ranked(
            index,
            min(max((grades[index] - _LOWEST) / _RANGE, 0.0), 1.0),
            _Document(asked.texts[index]) if asked.return_documents else None,
        )
        for index in best
    ]
    body = _Rerank(request_id, asked.model or answer.revision, results, _Usage(0))
    return Response(200, _encode(body), headers=_headers(answer))


def refusal(status: int, message: str, field: str | None = None) -> Response:
    """A 4xx or 5xx; `message` names the field and `field` repeats it for programs."""
    return Response(status, _encode({"error": {"message": message, "field": field}}))


def _headers(answer: Answer) -> dict[str, str]:
    return {"x-lore-stratum": answer.stratum, "x-lore-revision": answer.revision}
