"""What keeps a sick or overloaded predictor from hurting callers: a concurrency limit, a circuit breaker, a retry budget.

One guard stands before one backend and outlives configurations. It does no I/O and reads no clock but the one it is given.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

_BUDGET_MOST: Final = 10.0


class Shed(Exception):
    """The tier has as many questions as it may have; the next tier is asked instead."""


class CircuitOpen(Exception):
    """The tier failed too often in a row; until its pause is over nobody asks it."""


@dataclass(frozen=True)
class GuardLimits:
    """`concurrent` questions at once; after `failures` in a row a pause of `pause` seconds; `retry_ratio` retries a question."""

    concurrent: int = 128
    failures: int = 10
    pause: float = 1.0
    retry_ratio: float = 0.1


class Guard:
    """Admits questions to one backend and learns from their outcome.

    The breaker is closed at first. Failures in a row open it; after the pause one question is let through as a probe:
    its success closes the breaker, its failure begins another pause. Successes in between forget earlier failures.
    """

    def __init__(self, limits: GuardLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self.in_flight = 0
        self.retries = 0
        self._failed = 0
        self._closed_again = 0.0
        self._probing = False
        self._budget = _BUDGET_MOST if limits.retry_ratio else 0.0

    @property
    def open(self) -> bool:
        """Whether the breaker refuses questions, or lets only a probe through."""
        return self._failed >= self._limits.failures

    def admitted(self, faultless: tuple[type[BaseException], ...] = ()) -> "Admission":
        """Around one question. Raises Shed or CircuitOpen instead of entering.

        An exception of the question counts as a failure of the backend, unless it is one of `faultless` or the caller left.
        """
        broken = self.open
        if broken and (self._probing or self._clock() < self._closed_again):
            raise CircuitOpen(f"{self._failed} failures in a row")
        if self.in_flight >= self._limits.concurrent:
            raise Shed(f"{self.in_flight} questions in flight")
        self.in_flight += 1
        self._probing = broken
        self._budget = min(_BUDGET_MOST, self._budget + self._limits.retry_ratio)
        return Admission(self, broken, faultless)

    def leave(self, probe: bool, failed: bool | None) -> None:
        """A question is over; `failed` is None where that says nothing about the backend."""
        self.in_flight -= 1
        if probe:
            self._probing = False
        if failed:
            self._failed += 1
            self._closed_again = self._clock() + self._limits.pause
        elif failed is False:
            self._failed = 0

    def may_retry(self) -> bool:
        """Whether the budget has a retry left; takes it. Retries stay below a share of questions, so they cannot pile up."""
        if self._budget < 1.0:
            return False
        self._budget -= 1.0
        self.retries += 1
        return True


class Admission:
    """One admitted question, as a context: a class, since this is on the path of every request."""

    __slots__ = ("_faultless", "_guard", "_probe")

    def __init__(self, guard: Guard, probe: bool, faultless: tuple[type[BaseException], ...]) -> None:
        self._guard, self._probe, self._faultless = guard, probe, faultless

    def __enter__(self) -> None:
        """The question has been counted already."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """The outcome."""
        says_nothing = isinstance(error, self._faultless) or (error is not None and not isinstance(error, Exception))
        self._guard.leave(self._probe, None if says_nothing else error is not None)
