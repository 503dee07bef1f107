"""Instant queries of the installation's Prometheus (its HTTP API, `/api/v1/query`). What is no number is a reason."""

import asyncio
import json
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import aiohttp

from lore_operator.engine.bodies import read_at_most
from lore_operator.engine.keys import Key
from lore_operator.plan.questions import queries
from lore_operator.plan.types import Measurement, Object, Observed

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0, sock_connect=2.0)
_LARGEST_ANSWER: Final = 1 << 18
_SAID: Final = 300


class Measured:
    """Adds the answers that a deployment's rollout asks for to what is observed of it."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, key: Key, resource: Object, observed: Observed) -> Observed:
        """The view with `measurements`; nothing is asked where no rollout stands on a step with checks."""
        if key.kind != "RelevanceDeployment" or not (asked := queries(resource, observed)):
            return observed
        answers = await ask(self._url, sorted(asked))
        return replace(observed, measurements=answers)


async def ask(url: str, asked: Iterable[str]) -> dict[str, Measurement]:
    """The answer to each query, all at once; never raises for what Prometheus does."""
    if not url:
        nobody = Measurement(problem="no Prometheus is configured: set prometheus.url of the chart")
        return dict.fromkeys(asked, nobody)
    found = [*asked]
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        answers = await asyncio.gather(*(_answer(session, url, query) for query in found))
    return dict(zip(found, answers, strict=True))


async def _answer(session: aiohttp.ClientSession, url: str, query: str) -> Measurement:
    try:
        async with session.post(f"{url}/api/v1/query", data={"query": query}, allow_redirects=False) as answer:
            body = await read_at_most(answer, _LARGEST_ANSWER)
            return _number(answer.status, body)
    except TimeoutError:
        return Measurement(problem=f"Prometheus gave no answer within {_TIMEOUT.total:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Measurement(problem=f"Prometheus cannot be reached: {type(error).__name__}: {error}"[:_SAID])


def _number(status: int, body: bytes) -> Measurement:
    try:
        answer: Any = json.loads(body)
        if answer["status"] != "success":
            return Measurement(problem=f"Prometheus refuses the query: {answer.get('error', status)}"[:_SAID])
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind == "vector" and len(result) != 1:
            return Measurement(problem=_not_one(len(result)))
        value = float(result[1] if kind == "scalar" else result[0]["value"][1])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Measurement(problem=f"status {status}: no answer of a Prometheus to an instant query")
    if not math.isfinite(value):
        return Measurement(problem=f"the query's answer is {value}, not a number")
    return Measurement(value)


def _not_one(series: int) -> str:
    if series == 0:
        return "the query found no data"
    return f"the query's answer has {series} series, one is needed: aggregate it"
