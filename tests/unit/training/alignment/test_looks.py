"""What an align stage saw before it was interrupted counts after it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from lore_core.training.alignment.guards import Alarm, Measurement
from lore_core.training.alignment.looks import Looks, Pace
from lore_core.training.alignment.probe import Probe


@dataclass
class Seen:
    """In place of a probe: a canary of thirty pairs whose accuracies are given."""

    accuracies: Iterator[float]
    sizes: dict[str, int] = field(default_factory=lambda: {"brand": 30})

    def measure(self, _model: object, _reference: object, step: int) -> Measurement:
        return Measurement(step, 1.0, 1.0, 50, 0, {"brand": next(self.accuracies)})


class Model:
    def train(self) -> None:
        """As torch's modules."""


def looks(*accuracies: float) -> Looks:
    return Looks(cast(Probe, Seen(iter(accuracies))), None, Model(), Pace(every=5, last=20))


def stored(memory: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As it comes back from a checkpoint."""
    return cast(list[dict[str, Any]], json.loads(json.dumps(memory)))


def test_a_canary_that_was_low_before_an_interruption_and_is_low_after_it_stops_the_stage() -> None:
    before = looks(0.9, 0.8)
    assert before.look(Model(), Model(), 5).stop is None
    after = looks(0.9, 0.8)
    after.remember(stored(before.memory))
    stop = after.look(Model(), Model(), 10).stop
    assert stop is not None
    assert (stop.alarm, stop.step) == (Alarm.FORGETTING, 10)
    assert [row["step"] for row in after.memory] == [0, 5, 10]


def test_one_that_had_recovered_does_not() -> None:
    before = looks(0.9, 0.8, 0.9)
    for step in (5, 10):
        assert before.look(Model(), Model(), step).stop is None
    after = looks(0.9, 0.8)
    after.remember(stored(before.memory))
    assert after.look(Model(), Model(), 15).stop is None


def test_a_long_stage_keeps_its_last_looks_and_its_start_is_measured_anew() -> None:
    before = looks(*[0.9] * 60)
    for step in range(1, 60):
        before.look(Model(), Model(), step)
    assert len(before.memory) == 40
    after = looks(0.9)
    after.remember(stored(before.memory))
    assert after.measured[0].step == 0
    assert after.measured[1].step == 20
