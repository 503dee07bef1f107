"""A guard passes over a backend that fails or has enough to do, and lets it back when it is well."""

import asyncio

import pytest

from lore_core.router.guard import CircuitOpen, Guard, GuardLimits, Shed


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Broken(Exception):
    pass


class CallersFault(Exception):
    pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    return Guard(GuardLimits(concurrent=2, failures=3, pause=5.0, retry_ratio=0.5), clock)


def fail(guard: Guard, times: int = 1, error: type[BaseException] = Broken) -> None:
    for _ in range(times):
        with pytest.raises(error), guard.admitted(faultless=(CallersFault,)):
            raise error


def succeed(guard: Guard) -> None:
    with guard.admitted():
        pass


def test_more_questions_than_allowed_are_shed_until_one_is_done(guard: Guard) -> None:
    with guard.admitted():
        with guard.admitted(), pytest.raises(Shed), guard.admitted():
            pass
        succeed(guard)


def test_failures_in_a_row_open_the_circuit_for_a_pause(guard: Guard, clock: Clock) -> None:
    fail(guard, 3)
    with pytest.raises(CircuitOpen), guard.admitted():
        pass
    clock.now = 4.9
    with pytest.raises(CircuitOpen), guard.admitted():
        pass
    clock.now = 5.0
    succeed(guard)
    succeed(guard)


def test_failures_with_successes_between_them_do_not(guard: Guard) -> None:
    for _ in range(5):
        fail(guard, 2)
        succeed(guard)


def test_after_the_pause_one_question_probes_and_its_failure_begins_another(guard: Guard, clock: Clock) -> None:
    fail(guard, 3)
    clock.now = 5.0
    with pytest.raises(Broken), guard.admitted():  # noqa: PT012
        with pytest.raises(CircuitOpen), guard.admitted():
            pass
        raise Broken
    clock.now = 9.9
    with pytest.raises(CircuitOpen), guard.admitted():
        pass


@pytest.mark.parametrize("error", [CallersFault, asyncio.CancelledError])
def test_what_is_not_the_backends_fault_does_not_count(guard: Guard, error: type[BaseException]) -> None:
    fail(guard, 9, error)
    succeed(guard)
    assert guard.in_flight == 0


def test_a_probe_whose_caller_leaves_leaves_room_for_another(guard: Guard, clock: Clock) -> None:
    fail(guard, 3)
    clock.now = 5.0
    fail(guard, 1, asyncio.CancelledError)
    succeed(guard)


def test_retries_end_where_the_budget_ends_and_grow_with_questions(guard: Guard) -> None:
    while guard.may_retry():
        pass
    assert guard.retries == 10
    succeed(guard)
    assert not guard.may_retry()
    succeed(guard)
    assert guard.may_retry()
    assert not guard.may_retry()


def test_without_a_budget_nothing_is_retried() -> None:
    assert not Guard(GuardLimits(retry_ratio=0.0)).may_retry()
