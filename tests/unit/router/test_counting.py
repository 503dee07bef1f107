"""Plain numbers read like the library's counters and histograms."""

import random

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from lore_core.router.counting import Count, Durations

BOUNDS = (0.001, 0.5, 1.0, 10.0)


def exposed(registry: CollectorRegistry) -> list[str]:
    """Lines of the exposition format; the library's own also says when each series began."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]


def test_a_counter_is_exposed_as_the_librarys() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    count = Count("lore_asked", "Questions", ("tier", "why"), ours)
    counter = Counter("lore_asked", "Questions", ["tier", "why"], registry=theirs)

    for tier, amount in (("tail", 1), ("torso", 2.5), ("tail", 3)):
        count.add(amount, tier, 'a "quoted"\nreason')
        counter.labels(tier, 'a "quoted"\nreason').inc(amount)

    assert exposed(ours) == exposed(theirs)
    assert ours.get_sample_value("lore_asked_total", {"tier": "tail", "why": 'a "quoted"\nreason'}) == 4


def test_a_histogram_is_exposed_as_the_librarys() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations("lore_seconds", "Time", ("tier",), BOUNDS, ours)
    histogram = Histogram("lore_seconds", "Time", ["tier"], buckets=BOUNDS, registry=theirs)
    generator = random.Random(7)

    for seconds in (*BOUNDS, 0.0, 11.0, *(generator.expovariate(1.0) for _ in range(200))):
        durations.observe(seconds, "tail")
        histogram.labels("tail").observe(seconds)

    assert exposed(ours) == exposed(theirs)
