"""The two sides of a replay: a router's address, or a composition of a `router.json` that is served for as long as it lasts."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import httpx
import msgspec

from lore_core.replay.log import Logged, ReplayError
from lore_core.router.answers import RelevanceAnswer
from lore_core.router.app import RouterApp
from lore_core.router.config import FULL_WEIGHT, RouterConfig, StratumWeights
from lore_core.router.http import HttpServer
from lore_core.router.loaded import Library
from lore_core.router.loader import Loader
from lore_core.router.metrics import RouterMetrics
from lore_core.router.shelf import Shelf
from lore_core.router.swap import read_config

_CLOSING_SECONDS: Final = 5.0
_SAID: Final = 200
_AHEAD: Final = 64
_decode: Final = msgspec.json.Decoder(RelevanceAnswer).decode


@dataclass(frozen=True)
class Reply:
    """A router's answer and the milliseconds until the caller had it; `problem` where there is none."""

    milliseconds: float
    answer: RelevanceAnswer | None
    problem: str = ""


class Side(Protocol):
    """Something that answers."""

    async def ask(self, logged: Logged) -> Reply:
        """One request; never raises for what the other side does."""


class Address:
    """A router at a base address."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, logged: Logged) -> Reply:
        """One request over HTTP."""
        started = time.perf_counter()
        try:
            response = await self._client.post(
                "/v1/relevance", content=logged.body, headers={"content-type": "application/json"}
            )
            milliseconds = (time.perf_counter() - started) * 1000
            if response.status_code != httpx.codes.OK:
                return Reply(milliseconds, None, f"status {response.status_code}: {response.text[:_SAID]}")
            return _checked(Reply(milliseconds, _decode(response.content)), logged)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            return Reply((time.perf_counter() - started) * 1000, None, f"{type(error).__name__}: {error}"[:_SAID])


def _checked(reply: Reply, logged: Logged) -> Reply:
    """An answer about other items than were asked for is none."""
    given = [item.id for item in reply.answer.items] if reply.answer is not None else []
    if given != [item.id for item in logged.asked.items]:
        return Reply(reply.milliseconds, None, "the answer has other items than the request")
    return reply


@contextlib.asynccontextmanager
async def side(where: str, token: str | None, seconds: float) -> AsyncIterator[Side]:
    """`where` is http(s)://ROUTER, FILE or FILE#REVISION; an answer may take `seconds`. Raises ReplayError."""
    async with contextlib.AsyncExitStack() as stack:
        address = where
        if not where.startswith(("http://", "https://")):
            address = await stack.enter_async_context(_served(*_named(where)))
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        try:
            client = httpx.AsyncClient(base_url=address, headers=headers, timeout=seconds, trust_env=False)
        except (httpx.InvalidURL, ValueError) as error:
            raise ReplayError(f"{where}: {error}") from error
        yield Address(await stack.enter_async_context(client))


def _named(where: str) -> tuple[RouterConfig, str]:
    name, _, revision = where.partition("#")
    try:
        config = read_config(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReplayError(f"{name}: {error}; give a router's address, or its router.json") from error
    return only(config, revision or config.stable), name


def only(config: RouterConfig, revision: str) -> RouterConfig:
    """The configuration with this composition alone. Raises ReplayError where it has none of that name."""
    found = [item for item in config.compositions if item.revision == revision]
    if not found:
        known = ", ".join(item.revision for item in config.compositions)
        raise ReplayError(f"#{revision}: no composition of this name; there are {known}")
    full = StratumWeights(head=FULL_WEIGHT, torso=FULL_WEIGHT, tail=FULL_WEIGHT)
    alone = found[0].model_copy(update={"weights": full, "shadow_percent": None})
    return config.model_copy(update={"stable": revision, "compositions": (alone,)})


@contextlib.asynccontextmanager
async def _served(config: RouterConfig, name: str) -> AsyncIterator[str]:
    """A router of this process on a loopback port, with everything that the configuration names fetched and verified."""
    with tempfile.TemporaryDirectory(prefix="lore-replay-") as folder:
        shelf = Shelf(Path(folder))
        failures = await asyncio.to_thread(Loader(shelf).reconcile, config)
        if failures:
            raise ReplayError(f"{name}: {'; '.join(f'{digest}: {why}' for digest, why in failures.items())}")
        app, library = RouterApp(RouterMetrics()), Library(shelf)
        try:
            app.serving = await asyncio.to_thread(library.load, config)
        except (ValueError, OSError, KeyError) as error:
            raise ReplayError(f"{name}: {type(error).__name__}: {error}") from error
        server = HttpServer(app, app.refuse, app.max_body)
        port = await server.start("127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await server.close(_CLOSING_SECONDS)
            await library.close()


async def ask_both(sides: Sequence[Side], requests: Sequence[Logged], at_once: int) -> AsyncIterator[list[Reply]]:
    """Both replies to each request, in the log's order; `at_once` requests are on their way.

    Who is asked first changes from request to request, so that neither side always meets warm caches.
    """
    free = asyncio.Semaphore(at_once)

    async def ask(number: int, logged: Logged) -> list[Reply]:
        async with free:
            order = (0, 1) if number % 2 == 0 else (1, 0)
            found = {which: await sides[which].ask(logged) for which in order}
            return [found[0], found[1]]

    piece = _AHEAD * at_once  # of the log at a time: a whole log's answers are too many to hold
    for start in range(0, len(requests), piece):
        numbered = enumerate(requests[start : start + piece], start)
        for both in await asyncio.gather(*(ask(number, logged) for number, logged in numbered)):
            yield both
