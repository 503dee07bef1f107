"""What a stage measures while it runs, as curves that stay short: they lie in every checkpoint and in the report."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

Points = list[list[float]]
MOST_POINTS: Final = 80
_FINAL: Final = 10
LOSS: Final = "loss"

OnStep = Callable[[int, Mapping[str, float]], None]
"""Told after each step what was measured then, by the curves' names."""


class Curve:
    """`[step, value]` rows. At `MOST_POINTS` every other one is dropped, and from then on every other one taken."""

    def __init__(self, stride: int = 1, seen: int = 0, points: Points | None = None) -> None:
        self.stride, self.seen, self.points = stride, seen, list(points or [])

    def add(self, step: int, value: float) -> None:
        """The next value; which are kept depends on their number alone, never on where a run was resumed."""
        if self.seen % self.stride == 0:
            self.points.append([step, round(value, 6)])
        self.seen += 1
        if len(self.points) > MOST_POINTS:
            self.points, self.stride = self.points[::2], self.stride * 2


class History:
    """Curves by name, and the last losses."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        """Empty, or as `state()` of an earlier one says."""
        found = state or {"curves": {}, "last": []}
        self._curves = {name: Curve(**one) for name, one in found["curves"].items()}
        self._last: list[float] = list(found["last"])

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """What was measured after a step; a value that is no number is left out."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        for name, value in finite.items():
            self._curves.setdefault(name, Curve()).add(step, value)
        if LOSS in finite:
            self._last = [*self._last, finite[LOSS]][-_FINAL:]

    @property
    def curves(self) -> dict[str, Points]:
        """`[step, value]` rows by name."""
        return {name: curve.points for name, curve in self._curves.items()}

    @property
    def final_loss(self) -> float:
        """Mean of the last ten losses; 0 before the first step."""
        return sum(self._last) / max(1, len(self._last))

    def state(self) -> dict[str, Any]:
        """For a checkpoint: what another History starts from."""
        curves = {
            name: {"stride": one.stride, "seen": one.seen, "points": one.points} for name, one in self._curves.items()
        }
        return {"curves": curves, "last": self._last}
