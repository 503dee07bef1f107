"""What exists below our resources: a list and a watch per kind of child, kept as trimmed projections.

A projection is for waking an owner and for cheap looks; whoever is about to destroy or create reads live. The list is
repeated from time to time and after `410 Gone`, and what it no longer names is dropped: no ghost outlives a relist.
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from lore_operator.engine.client import KubeClient, Listing, Manifest, WatchEvent
from lore_operator.engine.errors import ApiError, Gone, NotFound
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import Resource

_RELIST_SECONDS: Final = 600.0
_LONGEST_PAUSE: Final = 30.0
_LATEST: Final = str(2**63 - 1)
"""A version that nothing is newer than."""
_log = logging.getLogger(__name__)

Trim = Callable[[Manifest], Manifest]
Owners = Callable[[Manifest], Iterable[Key]]


class Watcher:
    """One kind of child in one namespace or in all. `last_seen` moves with every event, bookmark and list."""

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        *,
        labels: str,
        trim: Trim,
        owners: Owners,
        wake: Callable[[Key], None],
        namespace: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource, self.namespace = resource, namespace
        self.synced = asyncio.Event()
        self.last_seen = clock()
        self._client, self._labels, self._trim = client, labels, trim
        self._owners, self._wake, self._clock = owners, wake, clock
        self._seen: dict[tuple[str, str], tuple[Manifest, tuple[Key, ...]]] = {}
        self._owned: defaultdict[Key, set[tuple[str, str]]] = defaultdict(set)

    def owned(self, owner: Key) -> Iterator[Manifest]:
        """Projections of an owner's children, by name."""
        return (self._seen[where][0] for where in sorted(self._owned.get(owner, ())))

    def owners_at(self, namespace: str, name: str) -> tuple[Key, ...]:
        """The owners of one object; none where it is not known."""
        found = self._seen.get((namespace, name))
        return found[1] if found else ()

    def find(self, namespace: str, name: str) -> Manifest | None:
        """The projection of one object, if it is known."""
        found = self._seen.get((namespace, name))
        return found[0] if found else None

    def assume(self, item: Manifest, writer: Key | None = None) -> None:
        """Take an object that we wrote ourselves as seen, if it is one of those watched here.

        The resource that it was written for knows of it and is not woken.
        """
        if self.namespace in (None, item["metadata"]["namespace"]) and any(self._owners(item)):
            self._put(item, writer)

    def __len__(self) -> int:
        return len(self._seen)

    async def run(self) -> None:
        """List and watch until cancelled. An error is logged, paused for, and answered with a new list."""
        pause, self.last_seen = 0.0, self._clock()
        while True:
            try:
                await self._follow()
                pause = 0.0
            except NotFound:
                # The kind is not installed (KServe, where only training is wanted): nothing of it exists.
                self.replace(Listing([], _LATEST))
                self.synced.set()
                pause = _LONGEST_PAUSE
            except ApiError as error:
                pause = min(_LONGEST_PAUSE, max(0.5, pause * 2))
                level = logging.INFO if isinstance(error, Gone) else logging.WARNING
                _log.log(level, "watch of %s: %s; listing again in %.1f s", self.resource.plural, error, pause)
            await asyncio.sleep(pause * (1.0 + 0.25 * random.random()))

    async def _follow(self) -> None:
        listing = await self._client.list_all(self.resource, self.namespace, self._labels, keep=self._trim)
        self.replace(listing)
        self.synced.set()
        version, relist_at = listing.resource_version, self._clock() + _RELIST_SECONDS * (1.0 + 0.2 * random.random())
        while self._clock() < relist_at:
            async for event in self._client.watch(self.resource, version, self.namespace, self._labels):
                version = event.object["metadata"]["resourceVersion"]
                self.take(event)

    def take(self, event: WatchEvent) -> None:
        """Take one event of the watch."""
        self.last_seen = self._clock()
        if event.type == "DELETED":
            self._drop(_where(event.object), _version(event.object))
        elif event.type != "BOOKMARK":
            self._put(event.object)

    def replace(self, listing: Listing) -> None:
        """Take a whole list: what it no longer names is gone."""
        self.last_seen = self._clock()
        gone = set(self._seen)
        for item in listing.items:
            gone.discard(_where(item))
            self._put(item)
        for where in gone:
            self._drop(where, int(listing.resource_version))

    def _put(self, item: Manifest, writer: Key | None = None) -> None:
        where = _where(item)
        before = self._seen.get(where)
        if before is not None and _version(before[0]) >= _version(item):
            return  # our own write was seen first, or nothing changed since the last list
        projection, owners = self._trim(item), tuple(self._owners(item))
        self._unlink(where, before)
        self._seen[where] = (projection, owners)
        for owner in owners:
            self._owned[owner].add(where)
        self._notify({*owners, *(before[1] if before else ())} - {writer})

    def _drop(self, where: tuple[str, str], version: int) -> None:
        before = self._seen.get(where)
        if before is None or _version(before[0]) > version:
            return  # a successor of the same name is there already
        del self._seen[where]
        self._unlink(where, before)
        self._notify(before[1])

    def _unlink(self, where: tuple[str, str], before: tuple[Manifest, tuple[Key, ...]] | None) -> None:
        for owner in before[1] if before else ():
            self._owned[owner].discard(where)
            if not self._owned[owner]:
                del self._owned[owner]

    def _notify(self, owners: Iterable[Key]) -> None:
        for owner in owners:
            self._wake(owner)


def _version(item: Manifest) -> int:
    return int(item["metadata"]["resourceVersion"])


def _where(item: Manifest) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata["namespace"], metadata["name"]
