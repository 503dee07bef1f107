"""One pass over one resource: read, decide, write. Level-triggered: a pass depends on what exists, never on what happened."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from lore_operator.children.report_access import is_shared
from lore_operator.children.settings import Settings
from lore_operator.engine import writes
from lore_operator.engine.client import KubeClient, Manifest
from lore_operator.engine.errors import AlreadyExists, ApiError, Conflict, NotFound
from lore_operator.engine.failure import with_failure
from lore_operator.engine.keys import Key
from lore_operator.engine.metrics import Metrics
from lore_operator.engine.observe import Observer
from lore_operator.engine.parents import Parents
from lore_operator.engine.queue import WorkQueue
from lore_operator.engine.resources import KINDS
from lore_operator.engine.status import write_event, write_status
from lore_operator.plan.types import Apply, Object, ObjectKey, Observed, Plan, Reference

_log = logging.getLogger(__name__)
_NAMES_TAKEN: Final = 8
ECHO_SECONDS: Final = 0.2
"""What follows a write of ours (a Job's status, its pod, where it is scheduled) comes within a moment, and is looked at once."""


class Planner(Protocol):
    """The decision module of one kind: a module is one where its functions have these shapes."""

    def references(self, resource: Object) -> frozenset[Reference]:
        """Other objects that the decision looks at."""

    def plan(self, resource: Object, observed: Observed, now: datetime, settings: Settings) -> Plan:
        """What should be written now."""


Measure = Callable[[Key, Object, Observed], Awaitable[Observed]]
"""Adds to a view what is measured outside of the API server."""


Leftovers = Callable[[Key, Object | None], Awaitable[float | None]]
"""Settles what a resource of this name has left, or one that it replaces; seconds until it must be looked at again."""


async def _nothing_left(_key: Key, _living: Object | None) -> float | None:
    return None


async def _unmeasured(_key: Key, _resource: Object, observed: Observed) -> Observed:
    return observed


@dataclass(frozen=True)
class Outcome:
    """How a pass ended: how long until time alone may change the decision, the reason of a failure, or that it is gone.

    `conditions` are those that the resource shows now; None where they were not looked at.
    """

    wake_after: float | None = None
    failure: str | None = None
    gone: bool = False
    conditions: Sequence[Mapping[str, Any]] | None = None
    status: Mapping[str, Any] | None = None
    """What was decided to show; None where nothing was decided."""


class Reconciler:
    """Carries decisions out. Stateless but for its collaborators."""

    def __init__(
        self,
        client: KubeClient,
        observer: Observer,
        parents: Parents,
        planners: Mapping[str, Planner],
        settings: Settings,
        instance: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        measure: Measure = _unmeasured,
        arrived: Callable[[Key], Manifest | None] = lambda key: None,
        crowded: Callable[[], bool] = lambda: False,
        leftovers: Leftovers = _nothing_left,
    ) -> None:
        self._client, self._observer, self._parents = client, observer, parents
        self._planners, self._settings, self._instance, self._now = planners, settings, instance, now
        self._measure, self._arrived, self._crowded, self._leftovers = measure, arrived, crowded, leftovers

    async def reconcile(self, key: Key) -> Outcome:
        """One pass. A failed API call ends in the resource's condition and in the outcome; nothing is raised for it."""
        try:
            resource = self._arrived(key) or await self._client.get(KINDS[key.kind], key.namespace, key.name)
        except NotFound:
            self._parents.gone(key)
            return await self._gone(key)
        except ApiError as error:
            _log.warning("%s: %s", key, error, extra={"object": str(key)})
            return Outcome(failure=error.condition_reason)
        if resource["metadata"].get("deletionTimestamp"):
            return Outcome(gone=True)  # the garbage collector takes the children
        return await self._guarded(key, resource)

    async def _gone(self, key: Key) -> Outcome:
        try:
            return Outcome(gone=True, wake_after=await self._leftovers(key, None))
        except ApiError as error:
            _log.warning("%s: %s", key, error, extra={"object": str(key)})
            return Outcome(gone=True, failure=error.condition_reason)

    async def _guarded(self, key: Key, resource: Manifest) -> Outcome:
        try:
            return await self._pass(key, resource)
        except Conflict as error:
            _log.info("%s: seen too late: %s", key, error, extra={"object": str(key)})
            return Outcome(failure="Conflict")
        except ApiError as error:
            _log.warning("%s: %s", key, error, extra={"object": str(key)})
            return await self._failed(key, resource, error.condition_reason, str(error))
        except Exception as error:
            _log.exception("%s: the decision failed", key, extra={"object": str(key)})
            return await self._failed(key, resource, "InternalError", f"{type(error).__name__}: {error}")

    async def _pass(self, key: Key, resource: Manifest) -> Outcome:
        references = self._planners[key.kind].references(resource)
        self._parents.looks_at(key, references)
        observed = await self._measure(key, resource, await self._observer.cached(key, references))
        plan = self._decide(key, resource, observed)
        if _overwrites(plan, observed):
            live = await self._observer.live(key, references)
            observed = replace(live, measurements=observed.measurements)
            plan = self._decide(key, resource, observed)
        plan, news = await self._write(key, resource, observed, plan)
        if news and self._crowded():
            # Others are begun first; then this is told, with what has come of it meanwhile.
            return Outcome(wake_after=ECHO_SECONDS)
        await self._tell(key, resource, plan.status)
        for event in plan.events:
            await write_event(self._client, resource, event, self._instance)
        left = await self._leftovers(key, resource)
        waits = [left] if left is not None else []
        waits += [max(0.0, (plan.wake_at - self._now()).total_seconds())] if plan.wake_at else []
        # What was decided before our own writes did not see them.
        after = min([*waits, *([ECHO_SECONDS] if news else [])], default=None)
        return Outcome(after, conditions=plan.status.get("conditions", ()), status=plan.status)

    def _decide(self, key: Key, resource: Manifest, observed: Observed) -> Plan:
        return self._planners[key.kind].plan(resource, observed, self._now(), self._settings)

    async def _write(
        self, key: Key, resource: Manifest, observed: Observed, plan: Plan
    ) -> tuple[Plan, list[ObjectKey]]:
        """Carry out a plan's writes; where a name turns out to be taken, look and decide again. Also what changed by them."""
        news: list[ObjectKey] = []
        for _ in range(_NAMES_TAKEN):
            taken = await self._apply(key, observed, plan, news)
            if taken is None:
                break
            if not is_shared(taken.object):
                # The view was old, or the object is a stranger's: both are told apart on a live view only.
                live = await self._observer.live(key, self._planners[key.kind].references(resource))
                observed = replace(live, measurements=observed.measurements)
            observed = await self._observer.with_child(observed, key, taken.key)
            plan = self._decide(key, resource, observed)
        for patch in plan.patch:
            self._observer.assume(await writes.patch(self._client, key, patch), key)
            news.append(patch.key)
        for deletion in plan.delete:
            await writes.delete(self._client, key, deletion)
            news.append(deletion.key)
            _log.info("%s: deleted %s %s", key, *deletion.key, extra={"object": str(key)})
        return plan, news

    async def _apply(self, key: Key, observed: Observed, plan: Plan, news: list[ObjectKey]) -> Apply | None:
        for wanted in plan.apply:
            if wanted.later and news and self._crowded():
                continue  # others are begun first
            if (before := observed.children.get(wanted.key)) is not None:
                if not wanted.create_only:
                    written = await writes.update(self._client, wanted)
                    self._observer.assume(written, key)
                    news += [wanted.key] if _version(written) != _version(before) else []
                    _log.info("%s: applied %s %s", key, *wanted.key, extra={"object": str(key)})
                continue
            try:
                self._observer.assume(await writes.create(self._client, wanted), key)
                news += [] if wanted.later else [wanted.key]
                _log.info("%s: created %s %s", key, *wanted.key, extra={"object": str(key)})
            except AlreadyExists:
                return wanted
        return None

    async def _tell(self, key: Key, resource: Manifest, status: Mapping[str, Any]) -> None:
        written = await write_status(self._client, resource, status)
        if written is None:
            return
        _log.info("%s: status written", key, extra={"object": str(key)})
        if _unmoved(resource, written):
            self._parents.wrote_status(key, written["metadata"]["resourceVersion"])

    async def _failed(self, key: Key, resource: Manifest, reason: str, message: str) -> Outcome:
        told = with_failure(resource, reason, message, self._now())
        try:
            await self._tell(key, resource, told)
        except ApiError as error:
            _log.warning("the failure could not be written either: %s", error)
        return Outcome(failure=reason, conditions=told["conditions"])


def _unmoved(before: Manifest, after: Manifest) -> bool:
    """Whether nothing that decisions read changed between a read and the write of the status."""
    fields = ("generation", "labels", "annotations", "deletionTimestamp")
    return all(before["metadata"].get(field) == after["metadata"].get(field) for field in fields)


def _version(item: Object) -> str:
    return str(item["metadata"].get("resourceVersion"))


def _overwrites(plan: Plan, observed: Observed) -> bool:
    """Whether a stale view could do harm: a create cannot (the name is taken), everything else can."""
    changes = (wanted.on_live or wanted.key in observed.children for wanted in plan.apply)
    return bool(plan.delete or plan.patch or any(changes))


async def work(queue: WorkQueue, reconciler: Reconciler, metrics: Metrics) -> None:
    """One worker: takes keys until the queue is closed."""
    while (key := await queue.get()) is not None:
        started = time.monotonic()
        outcome = await reconciler.reconcile(key)
        metrics.reconciled(key.kind, time.monotonic() - started, outcome.failure)
        if outcome.gone:
            metrics.gone(key)
        elif outcome.conditions is not None:
            metrics.shows(key, outcome.conditions)
        if outcome.status is not None:
            metrics.says(key, outcome.status)
        if outcome.failure:
            queue.failed(key)
            continue
        queue.done(key)
        if outcome.gone:
            queue.forget(key)
        if outcome.wake_after is not None:
            queue.add_after(key, outcome.wake_after)
