"""Which key is worked on next. Pure bookkeeping over an injected clock; the waiting is in `queue`."""

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lore_operator.engine.keys import Key

_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 300.0
_JITTER: Final = 0.25
_ECHO_SHARE: Final = 8
"""Of so many keys that are handed out at least one is an echo, if there is any."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delay in seconds with a jitter that only adds, so that a delay never falls below its step."""

    first: float = _FIRST_DELAY
    longest: float = _LONGEST_DELAY
    jitter: float = _JITTER

    def delay(self, failures: int, noise: float) -> float:
        """Delay before the next try after `failures` (>= 1) failures in a row; `noise` is uniform in [0, 1)."""
        step = self.longest if failures > 40 else min(self.longest, self.first * 2.0 ** (failures - 1))
        return step * (1.0 + self.jitter * noise)


class _Lane:
    """Due keys, each once; kinds take turns, so ten thousand keys of one kind delay a key of another by one turn."""

    def __init__(self) -> None:
        self._due: dict[str, OrderedDict[Key, None]] = {}
        self._turns: deque[str] = deque()

    def add(self, key: Key) -> None:
        if key.kind not in self._due:
            self._due[key.kind] = OrderedDict()
            self._turns.append(key.kind)
        self._due[key.kind].setdefault(key)

    def remove(self, key: Key) -> None:
        if key.kind in self._due:
            self._due[key.kind].pop(key, None)

    def take(self) -> Key | None:
        while self._turns:
            kind = self._turns[0]
            if not self._due[kind]:
                self._turns.popleft()
                del self._due[kind]
                continue
            self._turns.rotate(-1)
            return self._due[kind].popitem(last=False)[0]
        return None

    def depth(self) -> dict[str, int]:
        return {kind: len(keys) for kind, keys in self._due.items()}


class Schedule:
    """Keys that are due, keys that will be, keys in flight.

    A key is due at most once however often it is added, is never handed out while it is in flight (an addition
    meanwhile makes it due when it is done), and has one wake-up time, the earliest asked for.

    What a person changed goes before echoes (what our own writes caused, and what time alone makes due): a thousand new
    resources are all begun before the first is looked at again and again. Echoes keep their share, so nothing starves.
    """

    def __init__(self, clock: Callable[[], float], noise: Callable[[], float], backoff: Backoff | None = None) -> None:
        self._clock, self._noise, self._backoff = clock, noise, backoff or Backoff()
        self._changed, self._echoes = _Lane(), _Lane()
        self._taken = 0
        self._since: dict[Key, float] = {}
        self._in_flight: set[Key] = set()
        self._again: set[Key] = set()
        self._wake: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._failures: Counter[Key] = Counter()

    def add(self, key: Key) -> None:
        """Make a key due now, before all echoes."""
        if key in self._in_flight:
            self._again.add(key)
            return
        self._echoes.remove(key)
        self._enqueue(key, self._changed)

    def add_at(self, key: Key, when: float) -> None:
        """Make a key due as an echo at a time of the clock; an earlier wish of the same key stands."""
        if when < self._wake.get(key, float("inf")):
            self._wake[key] = when
            heapq.heappush(self._heap, (when, key))

    def take(self) -> Key | None:
        """The next due key, now in flight; None where nothing is due."""
        self._wake_up()
        self._taken += 1
        first, second = self._changed, self._echoes
        if self._taken % _ECHO_SHARE == 0:
            first, second = second, first
        key = first.take() or second.take()
        if key is not None:
            del self._since[key]
            self._in_flight.add(key)
        return key

    def done(self, key: Key) -> None:
        """The work on a key ended well: its failures are forgotten."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: Key) -> float:
        """The work on a key failed: it is due again after the delay that is returned, unless it is added before."""
        self._failures[key] += 1
        delay = self._backoff.delay(self._failures[key], self._noise())
        self.add_at(key, self._clock() + delay)
        self._release(key)
        return delay

    def forget(self, key: Key) -> None:
        """The object is gone: no wake-up of it is kept."""
        self._wake.pop(key, None)
        self._failures.pop(key, None)

    def next_wake(self) -> float | None:
        """When the next waiting key falls due."""
        while self._heap and self._wake.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    @property
    def depth(self) -> dict[str, int]:
        """Due keys by kind."""
        return dict(Counter(self._changed.depth()) + Counter(self._echoes.depth()))

    @property
    def due(self) -> int:
        """How many keys are due."""
        return len(self._since)

    @property
    def changed(self) -> int:
        """Due keys that are no echoes."""
        return sum(self._changed.depth().values())

    @property
    def oldest_age(self) -> float:
        """Seconds that the longest waiting due key has waited."""
        return max(0.0, self._clock() - min(self._since.values())) if self._since else 0.0

    def _enqueue(self, key: Key, lane: _Lane) -> None:
        lane.add(key)
        self._since.setdefault(key, self._clock())
        self._wake.pop(key, None)

    def _release(self, key: Key) -> None:
        self._in_flight.discard(key)
        if key in self._again:
            self._again.discard(key)
            self._enqueue(key, self._changed)

    def _wake_up(self) -> None:
        while (when := self.next_wake()) is not None and when <= self._clock():
            _, key = heapq.heappop(self._heap)
            del self._wake[key]
            if key in self._in_flight:
                self._again.add(key)
            elif key not in self._since:
                self._enqueue(key, self._echoes)
