"""Waiting for work: the schedule, made awaitable."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

from lore_operator.engine.keys import Key
from lore_operator.engine.schedule import Backoff, Schedule


class WorkQueue:
    """A schedule whose `get` waits until a key is due. Used from one event loop.

    A key that falls due wakes one waiting worker, not all of them. A worker says `done` or `failed` and comes for the next.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        noise: Callable[[], float] = random.random,
        backoff: Backoff | None = None,
    ) -> None:
        self.schedule = Schedule(clock, noise, backoff)
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, key: Key) -> None:
        """Make a key due now."""
        self.schedule.add(key)
        self._wake_one()

    def add_after(self, key: Key, seconds: float) -> None:
        """Make a key due as an echo in some seconds; an earlier wish of the same key stands."""
        self.schedule.add_at(key, self._clock() + max(0.0, seconds))
        self._set_alarm()

    def done(self, key: Key) -> None:
        """The work on a key ended well."""
        self.schedule.done(key)

    def failed(self, key: Key) -> float:
        """The work on a key failed; returns the seconds until it is tried again."""
        return self.schedule.failed(key)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self.schedule.forget(key)

    def close(self) -> None:
        """No more keys are handed out: every waiting and later `get` returns None."""
        self._closed = True
        while self._waiting:
            self._wake_one()

    async def get(self) -> Key | None:
        """The next due key, in flight until `done` or `failed`; None once the queue is closed."""
        while not self._closed:
            if (key := self.schedule.take()) is not None:
                self._call_others()
                return key
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            self._set_alarm()
            await waiter
        return None

    def _call_others(self) -> None:
        """What else is due, or will be, is for those who still wait."""
        if self.schedule.due:
            self._wake_one()
        else:
            self._set_alarm()

    def _wake_one(self) -> None:
        while self._waiting:
            if not (worker := self._waiting.popleft()).done():
                worker.set_result(None)
                return

    def _set_alarm(self) -> None:
        """Have a worker woken when the next key falls due, if one waits for that."""
        wake = self.schedule.next_wake()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting and wake is not None:
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, wake - self._clock()), self._wake_one)
