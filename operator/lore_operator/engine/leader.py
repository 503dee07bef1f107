"""Which of several operators works: the one that holds a Lease, by the rules of client-go's leader election.

A rival counts the lease's time from when it last saw the lease move, on its own monotonic clock: clocks need not agree, and
one that jumps harms nobody. The holder writes for two thirds of that time after it *asked* for its latest renewal, so it
falls silent before a rival may begin, also where it was frozen in between.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from lore_operator.engine.client import KubeClient, Manifest
from lore_operator.engine.errors import AlreadyExists, ApiError, Conflict, NotFound, NotLeading
from lore_operator.engine.resources import LEASES
from lore_operator.settings import Lease

_WRITES_FOR: Final = 2 / 3
_ASKS_EVERY: Final = 2 / 15
_LONGEST_PAUSE: Final = 2.0
"""So soon does a rival see that a lease was given up."""
_log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another operator leads, or may by now."""


class Leader:
    """One candidate. `client` is its own, so that a renewal never queues behind the operator's work."""

    def __init__(
        self, client: KubeClient, lease: Lease, identity: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._lease, self._identity, self._clock = client, lease, identity, clock
        self._until = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)
        """The version of the lease that was seen last, and when it was first seen."""

    @property
    def leads(self) -> bool:
        """Whether this one may write now."""
        return self._clock() < self._until

    def fence(self, verb: str, path: str) -> None:
        """Raises NotLeading where a write would come from an operator that may have a successor."""
        if not self.leads:
            raise NotLeading(verb, path, 0, "NotLeading", "this operator's lease has run out: it writes nothing")

    async def acquire(self) -> None:
        """Wait until this one leads."""
        while not self.leads:
            try:
                await self.ask()
            except (AlreadyExists, Conflict):
                _log.info("another operator was faster")
            except ApiError as error:
                _log.warning("lease %s: %s", self._lease.name, error)
            if not self.leads:
                await asyncio.sleep(self._pause)
        _log.info("leading: %s holds lease %s", self._identity, self._lease.name)

    async def keep(self) -> None:
        """Renew for as long as that works. LeaseLost once it has failed for too long, or another one holds the lease."""
        while True:
            await asyncio.sleep(min(self._pause, max(0.0, self._until - self._clock())))
            if self.leads:
                await self._renew()
            if not self.leads:
                raise LeaseLost(f"lease {self._lease.name} is lost")

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(self._until - self._clock()):
                await self.ask()
        except (ApiError, TimeoutError) as error:
            _log.warning("lease %s was not renewed: %s", self._lease.name, error or type(error).__name__)

    async def resign(self) -> None:
        """Write nothing from now on, and let a successor begin at once."""
        led, self._until = self.leads, float("-inf")
        if not led:
            return
        try:
            await self._put(self._seen[0], {"holderIdentity": "", "leaseDurationSeconds": 1})
        except ApiError as error:
            _log.info("lease %s was not given up: %s", self._lease.name, error)

    @property
    def _pause(self) -> float:
        return min(_LONGEST_PAUSE, self._lease.seconds * _ASKS_EVERY)

    async def ask(self) -> None:
        """Take or renew the lease where that is allowed; else only note whether its holder is alive."""
        asked = self._clock()
        found = await self._look()
        if found is None:
            found = await self._client.create(self._manifest(self._terms(None)), LEASES)
        elif self._may_take(found):
            found = await self._put(found["metadata"]["resourceVersion"], self._terms(found))
        else:
            self._until = float("-inf")
            return
        self._note(found)
        self._until = asked + self._lease.seconds * _WRITES_FOR

    async def _look(self) -> Manifest | None:
        try:
            found = await self._client.get(LEASES, self._lease.namespace, self._lease.name)
        except NotFound:
            return None
        self._note(found)
        return found

    def _note(self, found: Manifest) -> None:
        version = found["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, self._clock())

    def _may_take(self, found: Manifest) -> bool:
        spec: dict[str, Any] = found.get("spec") or {}
        if spec.get("holderIdentity") in (None, "", self._identity):
            return True
        return self._clock() >= self._seen[1] + float(spec.get("leaseDurationSeconds") or self._lease.seconds)

    def _terms(self, found: Manifest | None) -> dict[str, Any]:
        spec: dict[str, Any] = (found or {}).get("spec") or {}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        terms = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._lease.seconds,
            "renewTime": now,
        }
        if spec.get("holderIdentity") == self._identity:
            return terms
        return {**terms, "acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions", -1)) + 1}

    def _manifest(self, terms: dict[str, Any]) -> Manifest:
        metadata = {"name": self._lease.name, "namespace": self._lease.namespace}
        return {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": terms}

    async def _put(self, version: str, terms: dict[str, Any]) -> Manifest:
        patch = {"metadata": {"resourceVersion": version}, "spec": terms}
        return await self._client.merge(LEASES, self._lease.namespace, self._lease.name, patch)
