"""Which key is worked on next."""

import asyncio

import pytest

from lore_operator.engine.keys import Key
from lore_operator.engine.queue import WorkQueue
from lore_operator.engine.schedule import Backoff, Schedule


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def schedule(clock: Clock) -> Schedule:
    return Schedule(clock, noise=lambda: 0.0, backoff=Backoff(first=1.0, longest=60.0))


def key(name: str, kind: str = "RelevanceTrainJob") -> Key:
    return Key(kind, "default", name)


def drain(schedule: Schedule) -> list[Key]:
    taken = []
    while (found := schedule.take()) is not None:
        taken.append(found)
    return taken


def test_a_key_added_twice_is_handed_out_once(schedule: Schedule) -> None:
    schedule.add(key("a"))
    schedule.add(key("a"))

    assert drain(schedule) == [key("a")]


def test_a_key_in_flight_is_not_handed_out_again(schedule: Schedule) -> None:
    schedule.add(key("a"))
    schedule.take()
    schedule.add(key("a"))

    assert schedule.take() is None


def test_a_change_during_the_work_makes_the_key_due_when_it_is_done(schedule: Schedule) -> None:
    schedule.add(key("a"))
    schedule.take()
    schedule.add(key("a"))
    schedule.done(key("a"))

    assert drain(schedule) == [key("a")]


def test_many_keys_of_one_kind_delay_another_kind_by_one_turn(schedule: Schedule) -> None:
    for number in range(1000):
        schedule.add(key(f"train-{number}"))
    schedule.add(key("only", kind="RelevanceDeployment"))

    assert key("only", kind="RelevanceDeployment") in [schedule.take(), schedule.take()]


def test_a_key_is_due_at_the_earliest_time_asked_for(schedule: Schedule, clock: Clock) -> None:
    schedule.add_at(key("a"), 130.0)
    schedule.add_at(key("a"), 110.0)
    schedule.add_at(key("a"), 120.0)

    before = schedule.take()
    clock.now = 110.0

    assert (before, drain(schedule)) == (None, [key("a")])


def test_a_wake_up_is_given_once_only(schedule: Schedule, clock: Clock) -> None:
    schedule.add_at(key("a"), 130.0)
    schedule.add_at(key("a"), 110.0)
    clock.now = 111.0
    drain(schedule)
    schedule.done(key("a"))
    clock.now = 200.0

    assert schedule.take() is None


def test_failures_double_the_delay_up_to_the_longest(schedule: Schedule, clock: Clock) -> None:
    delays = []
    for _ in range(9):
        schedule.add(key("a"))
        schedule.take()
        delays.append(schedule.failed(key("a")))

    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_a_failed_key_is_due_after_its_delay(schedule: Schedule, clock: Clock) -> None:
    schedule.add(key("a"))
    schedule.take()
    clock.now += schedule.failed(key("a"))

    assert drain(schedule) == [key("a")]


def test_success_forgets_the_failures(schedule: Schedule) -> None:
    for _ in range(5):
        schedule.add(key("a"))
        schedule.take()
        schedule.failed(key("a"))
    schedule.add(key("a"))
    schedule.take()
    schedule.done(key("a"))
    schedule.add(key("a"))
    schedule.take()

    assert schedule.failed(key("a")) == 1.0


def test_jitter_only_adds() -> None:
    delays = [Backoff(first=1.0, jitter=0.5).delay(3, noise) for noise in (0.0, 0.5, 0.999)]

    assert [round(delay, 2) for delay in delays] == [4.0, 5.0, 6.0]


def test_a_thousand_failures_do_not_overflow() -> None:
    assert Backoff(longest=300.0).delay(5000, 0.0) == 300.0


def test_what_was_changed_goes_before_echoes(schedule: Schedule) -> None:
    schedule.add_at(key("echo"), 100.0)
    schedule.add(key("a"))
    schedule.add(key("b"))

    assert drain(schedule) == [key("a"), key("b"), key("echo")]


def test_an_echo_that_is_changed_is_one_no_more(schedule: Schedule) -> None:
    schedule.add_at(key("echo"), 100.0)
    schedule.add(key("a"))
    first = schedule.take()
    schedule.add(key("b"))
    schedule.add(key("echo"))

    assert [first, *drain(schedule)] == [key("a"), key("b"), key("echo")]


def crowd(schedule: Schedule, number: int = 100) -> None:
    for index in range(number):
        schedule.add(key(f"new-{index}"))


def test_echoes_that_have_waited_long_have_one_turn_in_eight_while_others_wait_to_be_begun(
    schedule: Schedule, clock: Clock
) -> None:
    schedule.add_at(key("echo"), 100.0)
    schedule.take()  # it falls due and is taken; so are the next ones
    schedule.done(key("echo"))
    for name in ("echo-1", "echo-2"):
        schedule.add_at(key(name), clock.now)
    crowd(schedule)
    assert schedule.take() == key("new-0")
    clock.now += 10
    crowd(schedule)

    taken = drain(schedule)[:16]
    assert {key("echo-1"), key("echo-2")} < set(taken)
    assert abs(taken.index(key("echo-1")) - taken.index(key("echo-2"))) == 8


def test_echoes_are_held_back_while_a_crowd_comes(schedule: Schedule, clock: Clock) -> None:
    schedule.add_at(key("echo"), 100.0)
    crowd(schedule)

    assert key("echo") not in drain(schedule)
    assert schedule.next_wake() == clock.now + 1
    clock.now += 1
    assert drain(schedule) == [key("echo")]


def test_a_few_are_no_crowd(schedule: Schedule) -> None:
    schedule.add_at(key("echo"), 100.0)
    crowd(schedule, 3)

    assert drain(schedule)[-1] == key("echo")


def test_a_crowd_that_never_ends_holds_an_echo_back_for_ten_seconds(schedule: Schedule, clock: Clock) -> None:
    start, taken = clock.now, list[Key]()
    schedule.add_at(key("echo"), start)
    while key("echo") not in taken:
        crowd(schedule, 20)
        taken = drain(schedule)
        for one in taken:
            schedule.done(one)
        clock.now += 0.5

    assert clock.now - start <= 11


def test_an_echo_that_falls_due_during_the_work_stays_an_echo(schedule: Schedule) -> None:
    schedule.add(key("a"))
    schedule.take()
    schedule.add_at(key("a"), 100.0)
    schedule.add(key("b"))
    schedule.add(key("c"))
    assert schedule.take() == key("b")
    schedule.done(key("a"))

    assert drain(schedule) == [key("c"), key("a")]


def test_depth_and_age_show_what_waits(schedule: Schedule, clock: Clock) -> None:
    schedule.add(key("a"))
    clock.now += 7
    schedule.add(key("b"))

    assert (schedule.depth, schedule.oldest_age) == ({"RelevanceTrainJob": 2}, 7.0)


async def test_a_waiting_worker_gets_what_is_added() -> None:
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(key("a"))

    assert await waiting == key("a")


async def test_a_closed_queue_releases_its_workers() -> None:
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()

    assert await waiting is None


async def test_every_key_has_a_worker_where_several_wait() -> None:
    queue = WorkQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for name in "abc":
        queue.add(key(name))

    assert set(await asyncio.gather(*waiting)) == {key("a"), key("b"), key("c")}


async def test_what_falls_due_while_one_works_is_for_another() -> None:
    queue = WorkQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for name, seconds in (("c", 0.02), ("a", 0.0), ("b", 0.0)):
        queue.add_after(key(name), seconds)

    assert set(await asyncio.gather(*waiting)) == {key("a"), key("b"), key("c")}


async def test_a_worker_wakes_for_a_key_that_falls_due() -> None:
    queue = WorkQueue()
    queue.add_after(key("a"), 0.01)

    assert await queue.get() == key("a")
