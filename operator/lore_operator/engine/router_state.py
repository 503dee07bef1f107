"""Asks every Ready router endpoint what it serves. Short time-outs: an endpoint that does not answer has not acknowledged."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final

import aiohttp

from lore_core.router.config import RouterState
from lore_operator.engine.bodies import read_at_most
from lore_operator.engine.client import Manifest
from lore_operator.plan.types import RouterEndpoint

_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0, sock_connect=1.0)
_LARGEST_ANSWER: Final = 1 << 16


_SERVICE: Final = "kubernetes.io/service-name"


async def router_endpoints(slices: Iterable[Manifest], service: str) -> tuple[RouterEndpoint, ...]:
    """The state of every Ready endpoint of one router Service, by name.

    Slices of other Services are none of it: KServe gives a graph's labels to the Service before its own pods.
    """
    own = (piece for piece in slices if (piece["metadata"].get("labels") or {}).get(_SERVICE) == service)
    targets = sorted(dict.fromkeys(_ready(own)))
    if not targets:
        return ()
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        states = await asyncio.gather(*(_state(session, url) for _, url in targets))
    return tuple(RouterEndpoint(name, state) for (name, _), state in zip(targets, states, strict=True))


def _ready(slices: Iterable[Manifest]) -> Iterator[tuple[str, str]]:
    for piece in slices:
        ports = {port.get("name"): port["port"] for port in piece.get("ports") or () if port.get("port")}
        port = ports.get("http")  # beside a TLS port, state stays on the plain one
        for endpoint in piece.get("endpoints") or ():
            if port is None or not endpoint.get("conditions", {}).get("ready", True):
                continue
            address = endpoint["addresses"][0]
            name = (endpoint.get("targetRef") or {}).get("name", address)
            yield name, f"http://{f'[{address}]' if ':' in address else address}:{port}/state"


async def _state(session: aiohttp.ClientSession, url: str) -> RouterState | None:
    try:
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            body = await read_at_most(answer, _LARGEST_ANSWER)
            return RouterState.model_validate_json(body, extra="ignore")  # a newer router may tell more
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
