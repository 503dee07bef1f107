"""A request log: JSONL with one body of `POST /v1/relevance` a line, or a line of a candidates artifact."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from lore_core.headcache.candidates import Candidate
from lore_core.router.config import Limits
from lore_core.router.requests import Asked, BadRequest, relevance

_LIMITS: Final = Limits()
_SHOWN: Final = 3


class ReplayError(ValueError):
    """A log or a side that cannot be replayed; the message names it and what to do."""


@dataclass(frozen=True)
class Logged:
    """One request, checked as a router does, and the body to send."""

    asked: Asked
    body: bytes


@dataclass(frozen=True)
class RequestLog:
    """What a log holds; `broken` lines are named by file, line and field."""

    requests: tuple[Logged, ...]
    broken: tuple[str, ...]


def read_log(path: Path, limit: int, max_broken: float) -> RequestLog:
    """The first `limit` requests. Raises ReplayError where more than a share `max_broken` of the lines is broken."""
    requests: list[Logged] = []
    broken: list[str] = []
    for number, line in _lines(path):
        try:
            requests.append(_logged(line))
        except BadRequest as error:
            broken.append(f"{path}:{number}: {error}")
        if len(requests) == limit:
            break
    if len(broken) > max_broken * (len(requests) + len(broken)):
        raise ReplayError(
            f"{broken[0]}; {len(broken)} of {len(requests) + len(broken)} lines are broken, {max_broken:.2%} are allowed: "
            "each line is a body of POST /v1/relevance; repair the log or raise --max-broken-share"
        )
    if not requests:
        raise ReplayError(f"{path}: no request in it; each line is a body of POST /v1/relevance")
    return RequestLog(tuple(requests), tuple(broken[:_SHOWN]))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; empty ones are left out."""
    with path.open("rb") as stream:
        yield from ((number, line.strip()) for number, line in enumerate(stream, 1) if line.strip())


def _logged(line: bytes) -> Logged:
    if len(line) > _LIMITS.max_body_bytes:
        raise BadRequest("body", f"more than {_LIMITS.max_body_bytes} bytes")
    try:
        return Logged(relevance(line, _LIMITS), line)
    except BadRequest as error:
        if error.field != "item_ids":
            raise
    body = _of_candidate(line)
    return Logged(relevance(body, _LIMITS), body)


def _of_candidate(line: bytes) -> bytes:
    try:
        found = Candidate.model_validate_json(line)
    except ValueError as error:
        said = " ".join(str(error).split())
        raise BadRequest("item_ids", f"a line with item_ids is a candidate: {said[:300]}") from error
    items = [{"id": name} for name in found.item_ids]
    return msgspec.json.encode({"query": found.query, "market": found.market, "items": items})
