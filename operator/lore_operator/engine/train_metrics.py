"""How train jobs go, as gauges: what their stages measure of themselves, how far they are, what they have taken of GPUs."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lore_operator.engine.eval_metrics import as_number
from lore_operator.engine.keys import Key

_OWN: Final = ["namespace", "name", "stage"]


class _Stage(NamedTuple):
    name: str
    done: float | None
    gpu_hours: float | None
    measured: Mapping[str, float]


class TrainCollector(Collector):
    """Keeps of each train job what its stages say, and shows it when it is scraped; a stage that has not begun says nothing."""

    def __init__(self) -> None:
        self._found: dict[Key, tuple[_Stage, ...]] = {}

    def told(self, key: Key, status: Mapping[str, Any]) -> None:
        """Remember a train job's status."""
        self._found[key] = tuple(_stage(stage) for stage in status.get("stages") or ())

    def gone(self, key: Key) -> None:
        """The train job is deleted."""
        self._found.pop(key, None)

    def collect(self) -> Iterable[Metric]:
        """Measurements, share of steps done and GPU hours of each stage."""
        values = GaugeMetricFamily(
            "lore_operator_train_measured", "Latest value that a stage measured of itself.", labels=[*_OWN, "measure"]
        )
        done = GaugeMetricFamily("lore_operator_train_done", "Share of a stage's steps that are done.", labels=_OWN)
        hours = GaugeMetricFamily(
            "lore_operator_train_gpu_hours", "GPU hours that a stage's attempts took.", labels=_OWN
        )
        for key, stages in sorted(self._found.items()):
            for stage in stages:
                own = [key.namespace, key.name, stage.name]
                for name, value in sorted(stage.measured.items()):
                    values.add_metric([*own, name], value)
                if stage.done is not None:
                    done.add_metric(own, stage.done)
                if stage.gpu_hours is not None:
                    hours.add_metric(own, stage.gpu_hours)
        yield from (values, done, hours)


def _stage(stage: Mapping[str, Any]) -> _Stage:
    progress = stage.get("progress") or {}
    total = as_number(progress.get("totalSteps"))
    done = None if not total else (as_number(progress.get("step")) or 0.0) / total
    numbers = {str(one["name"]): as_number(one.get("value")) for one in stage.get("metrics") or ()}
    measured = {name: value for name, value in numbers.items() if value is not None}
    return _Stage(str(stage["name"]), done, as_number(stage.get("gpuHours")), measured)
