"""Deadlines on the path of every question, without a timer and two coroutines for each, which cost as much as a short prompt."""

import asyncio
from collections import deque
from types import TracebackType


class Deadlines:
    """Deadlines of one length, of one event loop. They end in the order in which they began, so one timer serves them all."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begun: deque[Deadline] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> "Deadline":
        """One that begins now: a context manager, to be used at once and inside a task."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        while self._begun and self._begun[0].left:
            self._begun.popleft()
        self._begun.append(begun := Deadline(task, loop.time() + self.seconds))
        if self._timer is None:
            self._timer = loop.call_at(begun.due, self._expire)
        return begun

    def _expire(self) -> None:
        """End what is due, and wait for the next."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._begun and (self._begun[0].left or self._begun[0].due <= now):
            self._begun.popleft().expire()
        self._timer = loop.call_at(self._begun[0].due, self._expire) if self._begun else None


class Deadline:
    """Ends its block with TimeoutError once the loop's time is `due`; `left` once the block is over."""

    __slots__ = ("_cancelling", "_over", "_task", "due", "left")

    def __init__(self, task: "asyncio.Task[object]", due: float) -> None:
        self._task, self._cancelling, self.due = task, task.cancelling(), due
        self.left = self._over = False

    def expire(self) -> None:
        """The time is over."""
        if not self.left:
            self._over = True
            self._task.cancel()

    def __enter__(self) -> None:
        """The time runs already."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """A cancellation that is the deadline's becomes a TimeoutError; one that somebody else asked for as well stays one."""
        self.left = True
        if self._over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
