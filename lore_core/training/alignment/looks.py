"""What an align stage looks at every so many steps: the guards' canaries and, where it is asked for, pass@k."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from lore_core.training.alignment.guards import Guards, Measurement, Stop
from lore_core.training.alignment.probe import Probe
from lore_core.training.passing import PassMeter

_REMEMBERED: Final = 40


class Look(NamedTuple):
    """What was measured at a step, by the names of curves, and the guard that stops the stage there."""

    step: int
    values: dict[str, float]
    stop: Stop | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """Every so many steps, and after the last one."""

    every: int
    last: int

    def due(self, step: int) -> bool:
        """Whether it is time after this step."""
        return step % self.every == 0 or step == self.last


class Looks:
    """Begins with the model as the stage found it, to which every later look is compared. Collective, equal on every rank."""

    def __init__(self, probe: Probe, meter: PassMeter | None, model: Any, pace: Pace) -> None:
        self._probe, self._meter, self._pace = probe, meter, pace
        self.measured: list[Measurement] = [probe.measure(model, model, 0)] if probe.sizes else []
        self._guards = Guards(self.measured[0], probe.sizes) if self.measured else None
        self.latest = Look(0, {**(self.measured[0].values if self.measured else {}), **self._passes(model)})
        self.start = self.latest

    def due(self, step: int) -> bool:
        """Whether there is anything to look at after this step."""
        return bool(self.start.values) and self._pace.due(step)

    def look(self, model: Any, reference: Any, step: int) -> Look:
        """Measure the model as it is now; leaves it in training mode. `reference` is the stage's start."""
        stop, values = None, dict[str, float]()
        if self._guards is not None:
            found = self._probe.measure(model, reference, step)
            self.measured.append(found)
            stop, values = self._guards.see(found), found.values
        self.latest = Look(step, {**values, **self._passes(model)}, stop)
        model.train()
        return self.latest

    @property
    def memory(self) -> list[dict[str, Any]]:
        """The last measurements for a checkpoint: how often in a row a canary was low follows from them."""
        return [asdict(found) for found in self.measured[-_REMEMBERED:]]

    def remember(self, memory: Iterable[Mapping[str, Any]]) -> None:
        """Go on from the `memory` of an interrupted attempt; each attempt measures the start itself."""
        for row in memory:
            found = Measurement(**row)
            if self._guards is not None and found.step > 0:
                self.measured.append(found)
                self._guards.see(found)

    def _passes(self, model: Any) -> dict[str, float]:
        return self._meter.measure(model) if self._meter is not None else {}
