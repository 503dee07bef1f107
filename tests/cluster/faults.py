"""An operator whose writes fail where a test says: it dies before or after one, or the API server refuses some."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from lore_operator.children.labels import WATCH_SELECTOR
from lore_operator.children.settings import Images, Settings
from lore_operator.engine.client import KubeClient, Manifest, _Request
from lore_operator.engine.credentials import connect
from lore_operator.engine.errors import ApiError, NotFound, Unreachable, from_status
from lore_operator.engine.keys import Key
from lore_operator.engine.leftovers import Leftovers
from lore_operator.engine.observe import WATCHED, Observer, owners, shared_by_all
from lore_operator.engine.parents import Parents
from lore_operator.engine.projection import trim
from lore_operator.engine.reconcile import Planner, Reconciler
from lore_operator.engine.watcher import Watcher

SETTINGS = Settings(Images("trainer:test", "server:test", "router:test"), "test")
SHARING = replace(SETTINGS, shared_account=True)
Moment = Literal["before", "after"]


class Crash(BaseException):
    """The operator is gone; no handler of its own may see it."""


class FaultyClient(KubeClient):
    """Keeps a journal of its writes, and asks `fault` before and after each one: what that raises, the operator gets."""

    def __init__(self, fault: Callable[[Moment, int], None] = lambda moment, number: None) -> None:
        super().__init__(connect)
        self.fault, self.journal = fault, list[str]()
        self.reads: Callable[[], None] = _nothing

    async def _send(self, request: _Request) -> Manifest:
        if request.method == "GET":
            self.reads()
            return await super()._send(request)
        number = len(self.journal)
        self.fault("before", number)
        answer = await super()._send(request)
        self.journal.append(f"{request.verb} {request.kind} {_name(request)}")
        self.fault("after", number)
        return answer

    def created(self) -> list[str]:
        """Kind and name of each object that was created, Events aside."""
        return [line for line in self.journal if line.startswith("create ") and not line.startswith("create Event")]


def _name(request: _Request) -> str:
    if request.method == "POST":
        return str(json.loads(request.payload or b"{}")["metadata"]["name"])
    return request.path.rpartition("/")[2]


def crash_at(number: int, moment: Moment) -> Callable[[Moment, int], None]:
    """Die once, before or after the write of that number."""
    alive = iter([True])

    def fault(now: Moment, count: int) -> None:
        if (now, count) == (moment, number) and next(alive, False):
            raise Crash

    return fault


def burst(seed: int) -> Callable[[Moment, int], None]:
    """Half of the writes are refused with 429 or 500, and some that were carried out are never answered."""
    chance = random.Random(seed)

    def fault(now: Moment, count: int) -> None:
        kind = chance.random()
        if now == "before" and kind < 0.25:
            raise from_status("write", "burst", 429, {"reason": "TooManyRequests", "message": "slow down"})
        if now == "before" and kind < 0.5:
            raise from_status("write", "burst", 500, {"reason": "InternalError", "message": "etcdserver: timed out"})
        if now == "after" and kind < 0.25:
            raise Unreachable("write", "burst", 0, "ServerDisconnectedError", "")

    return fault


def refused_reads(seed: int) -> Callable[[], None]:
    """A tenth of the reads are refused with 429 or 500."""
    chance = random.Random(seed)

    def fault() -> None:
        kind = chance.random()
        if kind < 0.05:
            raise from_status("get", "burst", 429, {"reason": "TooManyRequests", "message": "slow down"})
        if kind < 0.1:
            raise from_status("get", "burst", 500, {"reason": "InternalError", "message": "etcdserver: leader changed"})

    return fault


class Operator:
    """One life of an operator for one namespace. It sees what `look` last showed it, as a slow watch would."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        planners: Mapping[str, Planner],
        settings: Settings = SETTINGS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._namespace = client, namespace
        self._watchers = {
            resource.kind: Watcher(
                client, resource, labels=WATCH_SELECTOR, trim=trim, owners=owners, wake=_nobody, namespace=namespace
            )
            for resource in WATCHED
        }
        watchers = {kind: (watcher,) for kind, watcher in self._watchers.items()}
        observer = Observer(client, watchers, shared_by_all(settings))
        left = Leftovers(client, observer, (namespace,), settings)
        self._reconciler = Reconciler(
            client, observer, Parents(_nobody), planners, settings, "test", now, leftovers=left
        )

    async def look(self, kinds: frozenset[str] | None = None) -> None:
        """List what exists now; only some kinds where a watch lags behind."""
        for kind, watcher in self._watchers.items():
            if kinds is None or kind in kinds:
                try:
                    watcher.replace(await self._client.list_all(watcher.resource, self._namespace, WATCH_SELECTOR))
                except NotFound:
                    continue  # KServe is not installed
                except ApiError:
                    continue  # the watch lags behind until the next look

    async def reconcile(self, key: Key) -> Any:
        """One pass."""
        return await self._reconciler.reconcile(key)

    async def settle(self, key: Key, journal: list[str], most: int = 200) -> None:
        """Passes, each on a fresh look, until one ends well and writes nothing."""
        for _ in range(most):
            await self.look()
            before = len(journal)
            if (await self.reconcile(key)).failure is None and len(journal) == before:
                return
        raise AssertionError(f"not at rest after {most} passes; last writes: {journal[-10:]}")


def _nothing() -> None:
    """No fault."""


def _nobody(_: Key) -> None:
    """Nobody waits: the test says when a pass begins."""
