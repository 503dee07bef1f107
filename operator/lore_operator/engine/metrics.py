"""What the operator measures of itself, for Prometheus."""

import sys
from collections import Counter as Counted
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lore_operator.engine.eval_metrics import EvalCollector
from lore_operator.engine.keys import Key
from lore_operator.engine.schedule import Schedule
from lore_operator.engine.train_metrics import TrainCollector

_Shown: TypeAlias = tuple[str, str, str]
"""Type, status and reason of a condition."""
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class _QueueCollector(Collector):
    """Reads the queue when it is scraped: nothing to keep up to date in between."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def collect(self) -> Iterable[Metric]:
        depth = GaugeMetricFamily("lore_operator_queue_depth", "Objects waiting for a worker.", labels=["kind"])
        for kind, length in self._schedule.depth.items():
            depth.add_metric([kind], length)
        yield depth
        yield GaugeMetricFamily(
            "lore_operator_queue_oldest_seconds",
            "How long the longest waiting object has waited.",
            value=self._schedule.oldest_age,
        )


class _ObjectCollector(Collector):
    """Counts what the objects show when it is scraped; between scrapes each object costs one small tuple."""

    def __init__(self) -> None:
        self.shown: dict[Key, tuple[_Shown, ...]] = {}

    def collect(self) -> Iterable[Metric]:
        labels = ["kind", "condition", "status", "reason"]
        found = GaugeMetricFamily("lore_operator_objects", "Objects by what their conditions say.", labels=labels)
        counted = Counted((key.kind, *shown) for key, conditions in self.shown.items() for shown in conditions)
        for values, number in sorted(counted.items()):
            found.add_metric(values, number)
        yield found


class Metrics:
    """The operator's own registry; tests and processes may have several."""

    def __init__(self, schedule: Schedule) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_QueueCollector(schedule))
        self._objects = _ObjectCollector()
        self.registry.register(self._objects)
        self._evaluations = EvalCollector()
        self.registry.register(self._evaluations)
        self._trainings = TrainCollector()
        self.registry.register(self._trainings)
        ProcessCollector(registry=self.registry)
        self._reconciles = Histogram(
            "lore_operator_reconcile_seconds",
            "Duration of one reconcile.",
            ["kind", "outcome"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._calls = Counter(
            "lore_operator_api_calls", "Calls to the API server.", ["verb", "resource", "code"], registry=self.registry
        )
        self._call_seconds = Histogram(
            "lore_operator_api_call_seconds",
            "Duration of calls to the API server.",
            ["verb"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._errors = Counter(
            "lore_operator_errors", "Reconciles that failed.", ["kind", "reason"], registry=self.registry
        )
        self._watched = Gauge(
            "lore_operator_watched_objects", "Objects in the watch caches.", ["resource"], registry=self.registry
        )

        self._leading = Gauge(
            "lore_operator_leading", "Whether this operator works, or waits for its lease.", registry=self.registry
        )

        self._neighbours = Gauge(
            "lore_operator_group_served",
            "Whether the cluster serves an API group that the operator can do without.",
            ["group"],
            registry=self.registry,
        )

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """One call to the API server ended; code 0 means that no answer came."""
        self._calls.labels(verb, resource, str(code)).inc()
        if verb != "watch":
            self._call_seconds.labels(verb).observe(seconds)

    def reconciled(self, kind: str, seconds: float, failure: str | None = None) -> None:
        """One reconcile ended; `failure` is the reason that its condition shows."""
        self._reconciles.labels(kind, "error" if failure else "success").observe(seconds)
        if failure:
            self._errors.labels(kind, failure).inc()

    def shows(self, key: Key, conditions: Iterable[Mapping[str, Any]]) -> None:
        """What an object's conditions say now."""
        self._objects.shown[key] = tuple(
            (sys.intern(item["type"]), sys.intern(item["status"]), sys.intern(item["reason"])) for item in conditions
        )

    def says(self, key: Key, status: Mapping[str, Any]) -> None:
        """What the status of an evaluation or a train job says now; other kinds say nothing in numbers."""
        if key.kind == "RelevanceEval":
            self._evaluations.judged(key, status)
        elif key.kind == "RelevanceTrainJob":
            self._trainings.told(key, status)

    def gone(self, key: Key) -> None:
        """An object is deleted, or on its way."""
        self._objects.shown.pop(key, None)
        self._evaluations.gone(key)
        self._trainings.gone(key)

    def watching(self, sizes: Mapping[str, int]) -> None:
        """How many objects each watch cache holds."""
        for resource, size in sizes.items():
            self._watched.labels(resource).set(size)

    def leads(self, leading: bool) -> None:
        """Whether this operator works."""
        self._leading.set(leading)

    def serves(self, group: str, served: bool) -> None:
        """Whether the cluster serves an API group."""
        self._neighbours.labels(group).set(served)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
