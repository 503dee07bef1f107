"""A slow attempt gets a second one beside it, never more, and nothing is left running."""

import asyncio

import pytest

from lore_core.router.hedge import hedged


class Attempts:
    """Attempts that wait until the test lets one end."""

    def __init__(self) -> None:
        self.all: list[asyncio.Future[str]] = []
        self.begun = asyncio.Event()

    async def __call__(self) -> str:
        self.all.append(asyncio.get_running_loop().create_future())
        self.begun.set()
        return await self.all[-1]

    async def number(self, wanted: int) -> None:
        while len(self.all) < wanted:
            self.begun.clear()
            await self.begun.wait()


def allowed() -> bool:
    return True


async def test_an_attempt_that_ends_in_time_has_no_second() -> None:
    attempts = Attempts()
    asked = asyncio.create_task(hedged(attempts, 60, allowed))
    await attempts.number(1)
    attempts.all[0].set_result("first")
    assert await asked == "first"
    assert len(attempts.all) == 1


@pytest.mark.parametrize("winner", [0, 1])
async def test_whichever_answers_first_counts_and_the_other_is_cancelled(winner: int) -> None:
    attempts = Attempts()
    asked = asyncio.create_task(hedged(attempts, 0, allowed))
    await attempts.number(2)
    attempts.all[winner].set_result("won")
    assert await asked == "won"
    await asyncio.sleep(0)
    assert attempts.all[1 - winner].cancelled()


async def test_one_failure_waits_for_the_other_and_two_are_the_first_ones() -> None:
    attempts = Attempts()
    asked = asyncio.create_task(hedged(attempts, 0, allowed))
    await attempts.number(2)
    attempts.all[1].set_exception(ValueError("second"))
    attempts.all[0].set_result("late")
    assert await asked == "late"

    attempts = Attempts()
    asked = asyncio.create_task(hedged(attempts, 0, allowed))
    await attempts.number(2)
    attempts.all[0].set_exception(ValueError("first"))
    await asyncio.sleep(0)
    attempts.all[1].set_exception(ValueError("second"))
    with pytest.raises(ValueError, match="first"):
        await asked


async def test_without_a_budget_there_is_no_second() -> None:
    attempts = Attempts()
    asked = asyncio.create_task(hedged(attempts, 0, lambda: False))
    await attempts.number(1)
    attempts.all[0].set_result("only")
    assert await asked == "only"
    assert len(attempts.all) == 1


async def test_who_leaves_takes_both_attempts_along() -> None:
    attempts = Attempts()
    asked = asyncio.create_task(hedged(attempts, 0, allowed))
    await attempts.number(2)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await asyncio.sleep(0)
    assert all(attempt.cancelled() for attempt in attempts.all)
