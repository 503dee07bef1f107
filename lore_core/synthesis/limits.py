"""How fast, how long and how much: pace, back-off and budget. Time comes from a clock that is given."""

import asyncio
import time
from typing import Final, Protocol

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0


class Clock(Protocol):
    """Seconds that only grow, and waiting for them."""

    def now(self) -> float:
        """Seconds since some moment."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Pace:
    """At most so many starts a minute, evenly spread."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._gap, self._clock, self._next = 60.0 / per_minute, clock, float("-inf")

    async def turn(self) -> None:
        """Wait for the next start; callers are served in the order they ask."""
        now = self._clock.now()
        at = max(now, self._next)
        self._next = at + self._gap
        if at > now:
            await self._clock.sleep(at - now)

    def hold(self, seconds: float) -> None:
        """Nobody starts for so long: the server asked all of us to wait."""
        self._next = max(self._next, self._clock.now() + seconds)


def wait_before(retry: int, asked: float | None) -> float:
    """Seconds before try number `retry` (1 is the first repetition): doubling, or what the server asked for; at most 60."""
    return min(max(_FIRST_WAIT * 2.0 ** (retry - 1), asked or 0.0), _LONGEST_WAIT)


class Budget:
    """Tokens that may be spent, prompts and answers together. What is under way is reserved at its most."""

    def __init__(self, tokens: int) -> None:
        self.limit, self.spent, self._reserved = tokens, 0, 0
        self.refused = False

    def reserve(self, tokens: int) -> bool:
        """Whether a request that costs at most so much may be sent; from the first refusal on, none may."""
        self.refused = self.refused or self.spent + self._reserved + tokens > self.limit
        if not self.refused:
            self._reserved += tokens
        return not self.refused

    def settle(self, reserved: int, used: int) -> None:
        """What the request really cost."""
        self._reserved -= reserved
        self.spent += used
