"""The engine put together: one client, the watchers, the workers, the resync and the small HTTP server."""

import asyncio
import contextlib
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from lore_operator.children.labels import WATCH_SELECTOR
from lore_operator.engine.arrivals import Arrivals
from lore_operator.engine.client import KubeClient, Manifest
from lore_operator.engine.errors import ApiError
from lore_operator.engine.framework import kopf
from lore_operator.engine.health import Health, serve
from lore_operator.engine.keys import Key
from lore_operator.engine.leader import Leader
from lore_operator.engine.leftovers import Leftovers
from lore_operator.engine.metrics import Metrics
from lore_operator.engine.neighbours import Neighbours
from lore_operator.engine.observe import WATCHED, Observer, owners, shared_by_all
from lore_operator.engine.parents import RESYNC_SECONDS, Parents
from lore_operator.engine.projection import trim
from lore_operator.engine.prometheus import Measured
from lore_operator.engine.queue import WorkQueue
from lore_operator.engine.reconcile import ECHO_SECONDS, Planner, Reconciler, work
from lore_operator.engine.remedies import check_version
from lore_operator.engine.resources import INFERENCE_SERVICES, KINDS, Resource
from lore_operator.engine.watcher import Watcher
from lore_operator.settings import Settings

_log = logging.getLogger(__name__)


class Engine:
    """Everything that runs in the engine's event loop. `ready` is set once all caches are filled."""

    def __init__(
        self,
        settings: Settings,
        planners: Mapping[str, Planner],
        connect: Callable[[], kopf.ConnectionInfo],
        instance: str,
    ) -> None:
        self._settings, self._connect = settings, connect
        self.queue = WorkQueue()
        self.metrics = Metrics(self.queue.schedule)
        self._leader_client = KubeClient(connect, self.metrics.called)
        # As client-go does: a container that is started again under the same name must not take itself for its predecessor.
        candidate = f"{instance}_{secrets.token_hex(4)}"
        self._leader = Leader(self._leader_client, settings.lease, candidate) if settings.lease else None
        fence = self._leader.fence if self._leader else None
        self.client = KubeClient(connect, self.metrics.called, fence=fence)
        self.parents, self._arrivals = Parents(self.queue.add), Arrivals()
        self._scopes: tuple[str | None, ...] = settings.namespaces or (None,)
        self._watchers = tuple(self._watcher(resource, namespace) for resource in WATCHED for namespace in self._scopes)
        by_kind: defaultdict[str, tuple[Watcher, ...]] = defaultdict(tuple)
        for watcher in self._watchers:
            by_kind[watcher.resource.kind] += (watcher,)
        self._observer = Observer(self.client, by_kind, shared_by_all(settings.children), self.parents.absences)
        self._reconciler = Reconciler(
            self.client,
            self._observer,
            self.parents,
            planners,
            settings.children,
            instance,
            measure=Measured(settings.prometheus_url),
            arrived=self._arrivals.take,
            crowded=lambda: self.queue.schedule.crowded,
            leftovers=Leftovers(self.client, self._observer, self._scopes, settings.children),
        )
        self._neighbours = Neighbours(self.client, settings.monitors_left_out, self.metrics.serves)
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take no more work; `run` returns when the passes in flight are done."""
        self._stopping.set()
        self.queue.close()

    def changed(self, key: Key, resource: Manifest, *, deleted: bool) -> None:
        """One of our resources was listed, added, changed or deleted, as kopf tells."""
        self._arrivals.came(key, resource, deleted=deleted)
        self.parents.changed(key, resource["metadata"]["resourceVersion"], deleted=deleted)

    async def run(self) -> None:
        """Run until `stop`. Raises what a task of the engine died of: the process should end and be started again."""
        async with self.client, self._leader_client:
            await self._wait_for_api()
            health = Health(self._watchers, self.parents, self.queue.schedule, leads=self._leads)
            http = await serve(health, self.metrics, self._watchers, self._settings.http_port)
            try:
                await self._lead()
            finally:
                await http.cleanup()

    def _leads(self) -> bool:
        return self._leader is None or self._leader.leads

    async def _lead(self) -> None:
        """Work, once and for as long as this operator leads."""
        if self._leader is None:
            await self._watch_and_work([])
            return
        acquiring = asyncio.create_task(self._leader.acquire())
        try:
            if await self._unless_stopped(acquiring, []):
                await self._watch_and_work([asyncio.create_task(self._leader.keep())])
        finally:
            await _end([acquiring])
            self.metrics.leads(False)
            await self._leader.resign()

    async def _watch_and_work(self, background: list[asyncio.Task[None]]) -> None:
        self.metrics.leads(True)
        background += [asyncio.create_task(watcher.run()) for watcher in self._watchers]
        background += [asyncio.create_task(self._resync()), asyncio.create_task(self._look_around())]
        try:
            await self._work(background)
        finally:
            await _end(background)

    async def _work(self, background: list[asyncio.Task[None]]) -> None:
        synced = asyncio.gather(*(watcher.synced.wait() for watcher in self._watchers))
        if not await self._unless_stopped(synced, background):
            return
        self.ready.set()
        _log.info("watching; %d objects in the caches", sum(map(len, self._watchers)))
        workers = [
            asyncio.create_task(work(self.queue, self._reconciler, self.metrics)) for _ in range(self._settings.workers)
        ]
        try:
            await self._unless_stopped(asyncio.gather(*workers), background)
        except BaseException:
            await _end(workers)
            raise
        self.queue.close()
        await asyncio.gather(*workers)

    async def _unless_stopped(self, wanted: "asyncio.Future[Any]", background: list[asyncio.Task[None]]) -> bool:
        """Wait for something; False where the engine is stopped before. Raises what a background task died of."""
        stopping = asyncio.create_task(self._stopping.wait())
        waiting: set[asyncio.Future[Any]] = {wanted, stopping, *background}
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for future in done - {stopping}:
            future.result()
        return wanted in done

    async def _wait_for_api(self) -> None:
        pause = 0.5
        while not self._stopping.is_set():
            try:
                check_version(await self.client.version())
                await asyncio.gather(*(self._probe(resource) for resource in KINDS.values()))
                return
            except ApiError as error:
                _log.warning("waiting for the API server and our kinds: %s", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(10.0, pause * 2)

    async def _probe(self, resource: Resource) -> None:
        await self.client.list_metadata(resource, self._scopes[0])

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            try:
                await self.parents.resync(self.client, self._scopes)
            except ApiError as error:
                _log.warning("resync: %s", error)

    async def _look_around(self) -> None:
        while True:
            try:
                await self._neighbours.look()
            except ApiError as error:
                _log.warning("which API groups are served: %s", error)
            await asyncio.sleep(RESYNC_SECONDS)

    def _watcher(self, resource: Resource, namespace: str | None) -> Watcher:
        return Watcher(
            self.client,
            resource,
            labels=WATCH_SELECTOR,
            trim=trim,
            owners=owners,
            wake=self._wake,
            namespace=namespace,
        )

    def _wake(self, key: Key) -> None:
        if key.kind == INFERENCE_SERVICES.kind:
            for owner in self._observer.owners_of_served(key):
                self.queue.add_after(owner, ECHO_SECONDS)
        elif key.kind in KINDS:
            self.queue.add_after(key, ECHO_SECONDS)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
