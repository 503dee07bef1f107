"""Whether the operator lives and whether it is ready, and the small server that says so.

Alive: every watch has heard something lately (bookmarks come about once a minute), kopf's watch reports what lists show,
and the queue moves. Ready: every watch has listed once. One that waits for its lease watches nothing and is both.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import web

from lore_operator.engine.listen import listen
from lore_operator.engine.metrics import Metrics
from lore_operator.engine.parents import Parents
from lore_operator.engine.schedule import Schedule
from lore_operator.engine.watcher import Watcher

_LONGEST_SILENCE: Final = 300.0
_LONGEST_WAIT: Final = 300.0


class Health:
    """Judges; an empty answer means well."""

    def __init__(
        self,
        watchers: Iterable[Watcher],
        parents: Parents,
        schedule: Schedule,
        clock: Callable[[], float] = time.monotonic,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._watchers, self._parents, self._schedule, self._clock = tuple(watchers), parents, schedule, clock
        self._leads = leads

    def why_dead(self) -> list[str]:
        """What is wrong beyond repair by waiting."""
        if not self._leads():
            return []
        now = self._clock()
        silent = [watcher for watcher in self._watchers if now - watcher.last_seen > _LONGEST_SILENCE]
        wrong = [f"no word from the watch of {w.resource.plural} for {now - w.last_seen:.0f} s" for w in silent]
        if self._parents.watch_is_silent:
            wrong.append("the watch of our own resources misses changes")
        if self._schedule.oldest_age > _LONGEST_WAIT:
            wrong.append(f"an object has waited for a worker for {self._schedule.oldest_age:.0f} s")
        return wrong

    def why_not_ready(self) -> list[str]:
        """What has not been listed yet; one that waits for the lease is as ready as it can be."""
        if not self._leads():
            return []
        return [f"{w.resource.plural} not listed yet" for w in self._watchers if not w.synced.is_set()]


async def serve(health: Health, metrics: Metrics, watchers: Iterable[Watcher], port: int) -> web.AppRunner:
    """Serve `/healthz`, `/readyz` and `/metrics` on all addresses; the caller cleans the runner up."""
    watched = tuple(watchers)

    async def alive(_: web.Request) -> web.Response:
        return _answer(health.why_dead())

    async def ready(_: web.Request) -> web.Response:
        return _answer(health.why_not_ready())

    async def scrape(_: web.Request) -> web.Response:
        sizes: dict[str, int] = {}
        for watcher in watched:
            sizes[watcher.resource.plural] = sizes.get(watcher.resource.plural, 0) + len(watcher)
        metrics.watching(sizes)
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", scrape)])
    runner, _ = await listen(app, port)
    return runner


def _answer(wrong: list[str]) -> web.Response:
    return web.json_response({"ok": not wrong, "problems": wrong}, status=503 if wrong else 200)
