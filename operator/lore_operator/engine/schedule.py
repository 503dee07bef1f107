"""Which key is worked on next. Pure bookkeeping over an injected clock; the waiting is in `queue`."""

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from lore_operator.engine.keys import Key

_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 300.0
_JITTER: Final = 0.25
_LONGEST_WAIT: Final = 10.0
"""Seconds after which an echo is held back no more: nothing starves."""
_TURN: Final = 8
"""While what was changed waits too, every so many-th turn is such an echo's: a crowd costs no more per head when it is larger."""
_MANY: Final = 16
_MOMENT: Final = 1.0
"""So many changes within so many seconds are a crowd."""


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

    def heads(self) -> Iterator[Key]:
        """Of each kind the key that has waited longest."""
        return (next(iter(keys)) for keys in self._due.values() if keys)

    def depth(self) -> dict[str, int]:
        return {kind: len(keys) for kind, keys in self._due.items()}


class Schedule:
    """Keys that are due, keys that will be, keys in flight.

    A key is due at most once however often it is added, is never handed out while it is in flight (an addition
    meanwhile makes it due when it is done), and has one wake-up time, the earliest asked for.

    What a person changed goes before echoes (what our own writes caused, and what time alone makes due): a thousand new
    resources are all begun before the first is looked at again and again. While such a crowd comes, echoes are held back even
    where a worker is free, since the API server is not: for ten seconds at most, then they have one turn in eight.
    """

    def __init__(self, clock: Callable[[], float], noise: Callable[[], float], backoff: Backoff | None = None) -> None:
        self._clock, self._noise, self._backoff = clock, noise, backoff or Backoff()
        self._changed, self._echoes = _Lane(), _Lane()
        self._turn = 0
        self._latest: deque[float] = deque(maxlen=_MANY)
        self._since: dict[Key, float] = {}
        self._in_flight: set[Key] = set()
        self._again: dict[Key, _Lane] = {}
        self._wake: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._failures: Counter[Key] = Counter()

    def add(self, key: Key) -> None:
        """Make a key due now, before all echoes."""
        self._latest.append(self._clock())
        if key in self._in_flight:
            self._again[key] = self._changed
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
        key = self._next()
        if key is not None:
            del self._since[key]
            self._in_flight.add(key)
        return key

    def _next(self) -> Key | None:
        late = self._late()
        self._turn = (self._turn + 1) % _TURN
        if late and self._turn == 0:
            return self._echoes.take()
        if (key := self._changed.take()) is not None:
            return key
        return self._echoes.take() if late or not self.crowded else None

    def _late(self) -> bool:
        """Whether the echo that waits longest has waited long enough."""
        oldest = self._oldest_echo()
        return oldest is not None and self._clock() >= oldest + _LONGEST_WAIT

    def _held_until(self) -> float | None:
        oldest = self._oldest_echo()
        return None if oldest is None else min(oldest + _LONGEST_WAIT, self._latest[0] + _MOMENT if self._many else 0.0)

    def _oldest_echo(self) -> float | None:
        return min((self._since[key] for key in self._echoes.heads()), default=None)

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
        """When the next waiting key falls due, or an echo is held back no more."""
        waits = [self._next_of_heap(), self._held_until()]
        return min((when for when in waits if when is not None), default=None)

    def _next_of_heap(self) -> float | None:
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
    def crowded(self) -> bool:
        """Whether others wait to be begun, or so many have come within a moment that more will."""
        return any(self._changed.depth().values()) or (self._many and self._clock() < self._latest[0] + _MOMENT)

    @property
    def _many(self) -> bool:
        return len(self._latest) == _MANY

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
        if (lane := self._again.pop(key, None)) is not None:
            self._enqueue(key, lane)

    def _wake_up(self) -> None:
        while (when := self._next_of_heap()) is not None and when <= self._clock():
            _, key = heapq.heappop(self._heap)
            del self._wake[key]
            if key in self._in_flight:
                self._again.setdefault(key, self._echoes)
            elif key not in self._since:
                self._enqueue(key, self._echoes)
