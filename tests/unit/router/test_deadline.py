"""A deadline ends what takes too long, and only that."""

import asyncio

import pytest

from lore_core.router.deadline import Deadline


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_takes_too_long_is_ended_with_a_timeout() -> None:
    with pytest.raises(TimeoutError), Deadline(0.001):
        await for_ever()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_in_time_is_left_alone() -> None:
    with Deadline(60):
        await asyncio.sleep(0)


async def test_an_error_in_time_is_that_error() -> None:
    with pytest.raises(KeyError), Deadline(60):
        raise KeyError("field")


async def test_a_caller_that_goes_is_no_timeout() -> None:
    began = asyncio.Event()

    async def asked() -> None:
        with Deadline(60):
            began.set()
            await for_ever()

    task = asyncio.create_task(asked())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inner_deadline_leaves_the_outer_one_its_own() -> None:
    with Deadline(60):
        with pytest.raises(TimeoutError), Deadline(0.001):
            await for_ever()
        await asyncio.sleep(0)
