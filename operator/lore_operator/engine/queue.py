"""Waiting for work: the schedule, made awaitable."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

from lore_operator.engine.keys import Key
from lore_operator.engine.schedule import Backoff, Schedule


class WorkQueue:
    """A schedule whose `get` waits until a key is due. Used from one event loop."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        noise: Callable[[], float] = random.random,
        backoff: Backoff | None = None,
    ) -> None:
        self.schedule = Schedule(clock, noise, backoff)
        self._clock = clock
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, key: Key) -> None:
        """Make a key due now."""
        self.schedule.add(key)
        self._changed.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Make a key due in some seconds; an earlier wish of the same key stands."""
        self.schedule.add_at(key, self._clock() + max(0.0, seconds))
        self._changed.set()

    def done(self, key: Key) -> None:
        """The work on a key ended well."""
        self.schedule.done(key)
        self._changed.set()

    def failed(self, key: Key) -> float:
        """The work on a key failed; returns the seconds until it is tried again."""
        delay = self.schedule.failed(key)
        self._changed.set()
        return delay

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self.schedule.forget(key)

    def close(self) -> None:
        """No more keys are handed out: every waiting and later `get` returns None."""
        self._closed = True
        self._changed.set()

    async def get(self) -> Key | None:
        """The next due key, in flight until `done` or `failed`; None once the queue is closed."""
        while not self._closed:
            if (key := self.schedule.take()) is not None:
                return key
            self._changed.clear()
            wake = self.schedule.next_wake()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if wake is None else max(0.0, wake - self._clock()))
        return None
