"""A deadline ends what takes too long, and only that."""

import asyncio

import pytest

from lore_core.router.deadline import Deadlines


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_takes_too_long_is_ended_with_a_timeout() -> None:
    with pytest.raises(TimeoutError), Deadlines(0.001).begin():
        await for_ever()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_in_time_is_left_alone() -> None:
    with Deadlines(60).begin():
        await asyncio.sleep(0)


async def test_an_error_in_time_is_that_error() -> None:
    with pytest.raises(KeyError), Deadlines(60).begin():
        raise KeyError("field")


async def test_a_caller_that_goes_is_no_timeout() -> None:
    began = asyncio.Event()

    async def asked() -> None:
        with Deadlines(60).begin():
            began.set()
            await for_ever()

    task = asyncio.create_task(asked())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inner_deadline_leaves_the_outer_one_its_own() -> None:
    with Deadlines(60).begin():
        with pytest.raises(TimeoutError), Deadlines(0.001).begin():
            await for_ever()
        await asyncio.sleep(0)


async def test_deadlines_end_in_their_order_and_those_that_were_met_end_nothing() -> None:
    deadlines, ended = Deadlines(0.02), list[int]()

    async def asked(number: int, done: asyncio.Event | None) -> None:
        try:
            with deadlines.begin():
                await (done.wait() if done is not None else for_ever())
        except TimeoutError:
            ended.append(number)

    met = asyncio.Event()
    tasks = [asyncio.create_task(asked(number, met if number % 2 else None)) for number in range(6)]
    await asyncio.sleep(0)
    met.set()
    await asyncio.gather(*tasks)
    assert ended == [0, 2, 4]
    later = asyncio.create_task(asked(6, None))
    await later
    assert ended == [0, 2, 4, 6]
