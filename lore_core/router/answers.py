"""Answers as JSON: relevance, rerank (Cohere v2 and Jina shape) and refusals."""

from collections.abc import Sequence
from typing import Final

import msgspec

from lore_core.router.answering import Answer
from lore_core.router.explain import Explanation
from lore_core.router.http import Response
from lore_core.router.requests import Asked, AskedRerank

_UNAUTHORIZED: Final = 401
_CHALLENGE: Final = {"www-authenticate": "Bearer"}
_LOWEST: Final = 1.0
_RANGE: Final = 3.0
"""Calibrated grades run from 1 (L1) to 4 (L4); a rerank score is their place between the two."""


class ItemAnswer(msgspec.Struct, gc=False):
    """One item of a relevance answer; `probabilities` of L1 L2 L3 L4."""

    id: str
    label: str
    probabilities: Sequence[float]
    grade: float
    tier: str
    source: str


class RelevanceAnswer(msgspec.Struct):
    """The answer to `/v1/relevance`."""

    stratum: str
    revision: str
    tier: str
    latency_ms: float
    items: list[ItemAnswer]


class DocumentText(msgspec.Struct):
    """A document given back."""

    text: str


class RankedDocument(msgspec.Struct, omit_defaults=True):
    """One document of a rerank answer, by its index in the request."""

    index: int
    relevance_score: float
    document: DocumentText | None = None


class Usage(msgspec.Struct):
    """What Jina's clients read; the router counts no tokens."""

    total_tokens: int


class RerankAnswer(msgspec.Struct):
    """The answer to `/v1/rerank`."""

    id: str
    model: str
    results: list[RankedDocument]
    usage: Usage


class Problem(msgspec.Struct):
    """What is wrong with a request; `field` names the field at fault where there is one."""

    message: str
    field: str | None = None


class Refusal(msgspec.Struct):
    """Every 4xx and 5xx."""

    error: Problem


_encode: Final = msgspec.json.Encoder().encode


def relevance(asked: Asked, answer: Answer, seconds: float) -> Response:
    """The answer to `/v1/relevance`; items in the order asked."""
    rows = zip(
        asked.items, answer.labels, answer.probabilities, answer.grades, answer.tiers, answer.sources, strict=True
    )
    items = [ItemAnswer(item.id or "", label, p, grade, tier, source) for item, label, p, grade, tier, source in rows]
    body = RelevanceAnswer(answer.stratum, answer.revision, answer.tier, round(seconds * 1000, 3), items)
    return Response(200, _encode(body), headers=_headers(answer))


def ranking(asked: AskedRerank, answer: Answer) -> list[int]:
    """Indexes of the best `top_n` documents, best first, equal ones in the order given."""
    grades = answer.grades
    return sorted(range(len(grades)), key=lambda index: (-grades[index], index))[: asked.top_n]


def rerank(asked: AskedRerank, answer: Answer, best: list[int], request_id: str) -> Response:
    """The answer to `/v1/rerank`: the documents `best`."""
    grades = answer.grades
    results = [
        RankedDocument(
            index,
            min(max((grades[index] - _LOWEST) / _RANGE, 0.0), 1.0),
            DocumentText(asked.texts[index]) if asked.return_documents else None,
        )
        for index in best
    ]
    body = RerankAnswer(request_id, asked.model or answer.revision, results, Usage(0))
    return Response(200, _encode(body), headers=_headers(answer))


def explanation(found: Explanation) -> Response:
    """The answer to `/v1/explain`."""
    return Response(200, _encode(found))


def refusal(status: int, message: str, field: str | None = None) -> Response:
    """A 4xx or 5xx; `message` names the field and `field` repeats it for programs."""
    return Response(
        status, _encode(Refusal(Problem(message, field))), headers=_CHALLENGE if status == _UNAUTHORIZED else {}
    )


def _headers(answer: Answer) -> dict[str, str]:
    return {"x-lore-stratum": answer.stratum, "x-lore-revision": answer.revision}
