"""Which of our own resources exist, which of them look at which others, and whether kopf's watch still tells the truth.

kopf reports changes; this keeps the keys. From time to time all keys are listed: what kopf missed is reconciled anyway,
and a change that kopf still has not reported one check later means that its watch is dead (kopf hides bookmarks, so
silence alone says nothing).
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from lore_operator.engine.absences import Absences
from lore_operator.engine.client import KubeClient
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import KINDS
from lore_operator.plan.types import Reference

_log = logging.getLogger(__name__)

RESYNC_SECONDS: Final = 300.0
_ALL_EVERY: Final = 12
"""Of so many resyncs one wakes everything, whatever was reported."""


class Parents:
    """Keys of the four kinds, with the newest version seen of each, and the references between them."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._seen: dict[Key, int] = {}
        self._looks_at: dict[Key, frozenset[tuple[str, Reference]]] = {}
        self._looked_at_by: defaultdict[tuple[str, Reference], set[Key]] = defaultdict(set)
        self._own: dict[Key, str] = {}
        self._unreported: dict[Key, int] = {}
        self.absences = Absences()
        self._resyncs = 0
        self.watch_is_silent = False

    def changed(self, key: Key, version: str, *, deleted: bool = False) -> None:
        """A resource was listed, added, changed or deleted: it and whoever looks at it is due, unless that is known."""
        if deleted:
            self._seen.pop(key, None)
        else:
            self._seen[key] = max(int(version), self._seen.get(key, 0))
        own = self._own.pop(key, None)
        if own == version and not deleted:
            return
        self._wake(key)
        self.referenced_changed(key.namespace, key.kind, key.name)

    def wrote_status(self, key: Key, version: str) -> None:
        """We wrote a resource's status and nothing else of it moved: this version needs no pass of its own.

        Whoever looks at it is due now. kopf may report several changes as their last one, so the caller must have seen in
        the answer to the write that nobody else changed the resource meanwhile.
        """
        self._own[key] = version
        self.referenced_changed(key.namespace, key.kind, key.name)

    def referenced_changed(self, namespace: str, kind: str, name: str) -> None:
        """An object that others may look at changed."""
        self.absences.heard_of((namespace, Reference(kind, name)))
        for reference in (Reference(kind, name), Reference(kind, None)):
            for key in self._looked_at_by.get((namespace, reference), ()):
                self._wake(key)

    def looks_at(self, key: Key, references: Iterable[Reference]) -> None:
        """Remember what a resource's decision looks at."""
        new = frozenset((key.namespace, reference) for reference in references)
        for gone in self._looks_at.get(key, frozenset()) - new:
            self._looked_at_by[gone].discard(key)
            if not self._looked_at_by[gone]:
                del self._looked_at_by[gone]
                self.absences.heard_of(gone)
        for reference in new:
            self._looked_at_by[reference].add(key)
        if new:
            self._looks_at[key] = new
        else:
            self._looks_at.pop(key, None)

    def gone(self, key: Key) -> None:
        """The resource does not exist any more."""
        self._seen.pop(key, None)
        self._own.pop(key, None)
        self.looks_at(key, ())

    async def resync(self, client: KubeClient, namespaces: Iterable[str | None]) -> None:
        """List all keys; wake what differs from what was reported and whoever looks at it, and judge the watch.

        Once an hour everything is woken: a safety net that thousands of resources at rest do not pay for every five minutes.
        """
        listed: dict[Key, int] = {}
        for namespace in namespaces:
            for resource in KINDS.values():
                for metadata in await client.list_metadata(resource, namespace):
                    key = Key(resource.kind, metadata["namespace"], metadata["name"])
                    listed[key] = int(metadata["resourceVersion"])
        self._judge(listed)
        newer = {key for key, version in listed.items() if version > self._seen.get(key, 0)}
        for key in newer | (self._seen.keys() - listed.keys()):
            self._wake(key)
            self.referenced_changed(key.namespace, key.kind, key.name)
        self._resyncs += 1
        if self._resyncs % _ALL_EVERY == 0:
            for key in listed:
                self._wake(key)

    def _judge(self, listed: dict[Key, int]) -> None:
        behind = {key: version for key, version in listed.items() if version > self._seen.get(key, 0)}
        still = [key for key, version in self._unreported.items() if self._seen.get(key, 0) < version and key in listed]
        self.watch_is_silent = bool(still)
        if still:
            _log.error("kopf's watch has not reported %d changes, %s among them", len(still), still[0])
        self._unreported = behind
