"""Counters and histograms as plain numbers in dictionaries, made into samples when somebody scrapes.

One event loop writes and reads them. The library's own take a lock and a check for each step, and a dozen steps a question are a
tenth of what a router adds to it (docs/adr/0009-router-runtime.md).
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import INF

Labels = tuple[str, ...]


class Count(Collector):
    """A counter with labels; a set of labels begins to exist when it is first counted."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._documentation, self._labels = name, documentation, tuple(labels)
        self._values: defaultdict[Labels, float] = defaultdict(float)
        registry.register(self)

    def add(self, count: float, *labels: str) -> None:
        """Count up."""
        self._values[labels] += count

    def collect(self) -> Iterator[Metric]:
        """A sample for each set of labels."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class Durations(Collector):
    """A histogram with labels; `bounds` are the buckets' upper ends in seconds, rising."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, tuple(labels)
        self._bounds = (*bounds, INF)
        self._within: defaultdict[Labels, list[int]] = defaultdict(lambda: [0] * len(self._bounds))
        self._sums: defaultdict[Labels, float] = defaultdict(float)
        registry.register(self)

    def observe(self, seconds: float, *labels: str) -> None:
        """Count one."""
        self._within[labels][bisect_left(self._bounds, seconds)] += 1
        self._sums[labels] += seconds

    def collect(self) -> Iterator[Metric]:
        """Cumulative buckets, sum and count for each set of labels."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        ends = [*map(str, self._bounds[:-1]), "+Inf"]
        for labels, counts in self._within.items():
            family.add_metric(labels, list(zip(ends, accumulate(counts), strict=True)), self._sums[labels])
        yield family
