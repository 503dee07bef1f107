"""How queries fell on the strata in the last day: what drift from the snapshot's own shares is judged by."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from lore_core.router.config import STRATA, SnapshotTraffic, Stratum

_HOUR: Final = 3600.0
_HOURS: Final = 24


class LiveTraffic:
    """Queries by stratum of the stable composition's snapshot, in the running hour and the 23 before it.

    A whole day, because strata have different shares by day and by night. Another snapshot begins anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._digest: str | None = None
        self._expected: dict[Stratum, float] = {}
        self._hours: deque[tuple[int, Counter[Stratum]]] = deque()

    def serves(self, digest: str, shares: Mapping[Stratum, float] | None) -> None:
        """The stable composition's snapshot, and its log's shares; None where it does not tell them."""
        if digest != self._digest:
            self._hours.clear()
        self._digest, self._expected = digest, dict(shares or {})

    def asked(self, stratum: Stratum) -> None:
        """One answered query."""
        self._now()[stratum] += 1

    def told(self) -> SnapshotTraffic | None:
        """As it stands on `/state`; None without a snapshot that tells its shares."""
        if self._digest is None or not self._expected:
            return None
        self._now()
        total = sum((counts for _, counts in self._hours), Counter())
        queries = {stratum: total[stratum] for stratum in STRATA}
        return SnapshotTraffic(strata=self._digest, expected=self._expected, queries=queries)

    def _now(self) -> "Counter[Stratum]":
        """The running hour's counts; hours that are over a day old are forgotten."""
        hour = int(self._clock() // _HOUR)
        if not self._hours or self._hours[-1][0] != hour:
            self._hours.append((hour, Counter()))
            while self._hours[0][0] <= hour - _HOURS:
                self._hours.popleft()
        return self._hours[-1][1]
