"""A deadline on the path of every question: `asyncio.timeout` without its coroutines, which cost as much as a short prompt."""

import asyncio
from types import TracebackType


class Deadline:
    """Ends the block with TimeoutError once `seconds` are over. Use once, as a plain context manager, inside a task."""

    __slots__ = ("_cancelling", "_over", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds, self._over = seconds, False

    def __enter__(self) -> None:
        """The time begins."""
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        self._over = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """A cancellation that is the deadline's becomes a TimeoutError; one that somebody else asked for as well stays one."""
        self._timer.cancel()
        if self._over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
