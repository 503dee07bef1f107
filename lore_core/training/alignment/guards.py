"""When reinforcement learning must stop by itself: forgetting, collapse, and reward that is won in a wrong way.

Pure: a guard sees measurements in the order of steps. What they are compared with is the first measurement, taken before the
first update.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Alarm(StrEnum):
    """Why a run was stopped."""

    FORGETTING = "CanaryForgotten"
    ENTROPY = "EntropyCollapsed"
    PARSE_RATE = "ParseRateLow"
    LENGTH = "AnswersTooLong"
    DIVERGENCE = "DivergenceTooLarge"


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds. A canary is a set of at least `canary_pairs` pairs of one rule dimension, never trained on."""

    canary_drop: float = 0.05
    canary_runs: int = 2
    canary_pairs: int = 30
    entropy_share: float = 0.2
    parse_rate: float = 0.98
    length_growth: float = 1.5
    divergence: float = 0.5


@dataclass(frozen=True, slots=True)
class Measurement:
    """One evaluation: entropy (nats a token), share of parsed answers, mean tokens, KL to the start (nats a token), canaries.

    `canaries` maps a rule dimension to the accuracy on it.
    """

    step: int
    entropy: float
    parse_rate: float
    length: float
    divergence: float
    canaries: Mapping[str, float]

    @property
    def values(self) -> dict[str, float]:
        """By the names of curves; of the canaries the one that does worst."""
        found = {"tuneEntropy": self.entropy, "tuneParseRate": self.parse_rate, "tuneLength": self.length}
        worst = {"tuneCanary": min(self.canaries.values())} if self.canaries else {}
        return {**found, "tuneDivergence": self.divergence, **worst}


@dataclass(frozen=True, slots=True)
class Stop:
    """The first bound that was passed."""

    step: int
    alarm: Alarm
    detail: str


class Guards:
    """Remembers the start and how often in a row each canary was low."""

    def __init__(self, start: Measurement, canary_sizes: Mapping[str, int], limits: Limits | None = None) -> None:
        """Raises ValueError where a canary is too small to say anything."""
        self._start, self._limits = start, limits or Limits()
        fluent = start.parse_rate >= self._limits.parse_rate
        # A model that began below the limit is held to its own start, less what one look may be off.
        self._readable = self._limits.parse_rate if fluent else start.parse_rate - self._limits.canary_drop
        self._low: dict[str, int] = dict.fromkeys(start.canaries, 0)
        for name in start.canaries:
            if canary_sizes.get(name, 0) < self._limits.canary_pairs:
                raise ValueError(
                    f"canary {name}: has {canary_sizes.get(name, 0)} pairs, at least {self._limits.canary_pairs} are needed"
                )

    def see(self, now: Measurement) -> Stop | None:
        """The alarm of this measurement, or None. A canary alarms where it is low in evaluations running."""
        limits, start = self._limits, self._start
        for name, accuracy in now.canaries.items():
            lost = start.canaries[name] - accuracy
            self._low[name] = self._low[name] + 1 if lost >= limits.canary_drop - 1e-9 else 0
            if self._low[name] >= limits.canary_runs:
                return Stop(
                    now.step, Alarm.FORGETTING, f"{name}: {lost:.3f} below the start, {self._low[name]} times running"
                )
        checks = (
            (Alarm.ENTROPY, now.entropy < limits.entropy_share * start.entropy, now.entropy, start.entropy),
            (
                Alarm.PARSE_RATE,
                now.parse_rate < self._readable,
                now.parse_rate,
                start.parse_rate,
            ),
            (Alarm.LENGTH, now.length > limits.length_growth * start.length, now.length, start.length),
            (Alarm.DIVERGENCE, now.divergence > limits.divergence, now.divergence, start.divergence),
        )
        return next(
            (
                Stop(now.step, alarm, f"{value:.3f}, {before:.3f} at the start")
                for alarm, passed, value, before in checks
                if passed
            ),
            None,
        )
