"""A second attempt beside a slow first one; the first answer counts (Dean, Barroso: "The Tail at Scale", CACM 56(2), 2013)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def hedged(attempt: Callable[[], Awaitable[T]], after: float, allowed: Callable[[], bool]) -> T:
    """Begin `attempt`; where it takes longer than `after` seconds and `allowed` says so, begin another one beside it.

    The first success is the result and the other attempt is cancelled. Raises what the first failure was once all failed.
    """
    attempts: list[asyncio.Future[T]] = [asyncio.ensure_future(attempt())]
    try:
        done, _ = await asyncio.wait(attempts, timeout=after)
        if not done and allowed():
            attempts.append(asyncio.ensure_future(attempt()))
        return await _first_success(attempts)
    finally:
        for task in attempts:
            task.cancel()


async def _first_success(attempts: list[asyncio.Future[T]]) -> T:
    failure: Exception | None = None
    for task in asyncio.as_completed(attempts):
        try:
            return await task
        except Exception as error:
            failure = failure or error
    assert failure is not None
    raise failure
