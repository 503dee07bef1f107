"""The last 24 hours' queries by stratum."""

import pytest

from lore_core.router.traffic import LiveTraffic

DIGEST, SHARES = "sha256:" + "1" * 64, {"head": 0.5, "torso": 0.3, "tail": 0.2}
HOUR = 3600.0


class Clock:
    now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def traffic(clock: Clock) -> LiveTraffic:
    found = LiveTraffic(clock)
    found.serves(DIGEST, SHARES)
    return found


def heads(traffic: LiveTraffic) -> int:
    told = traffic.told()
    assert told is not None
    return told.queries["head"]


def test_queries_count_for_a_day_and_no_longer(traffic: LiveTraffic, clock: Clock) -> None:
    traffic.asked("head")
    clock.now += 23 * HOUR
    traffic.asked("head")
    assert heads(traffic) == 2
    clock.now += HOUR
    assert heads(traffic) == 1
    clock.now += 23 * HOUR
    assert heads(traffic) == 0


def test_a_weight_keeps_the_counts_and_another_snapshot_does_not(traffic: LiveTraffic) -> None:
    traffic.asked("head")
    traffic.serves(DIGEST, SHARES)
    assert heads(traffic) == 1
    traffic.serves("sha256:" + "2" * 64, SHARES)
    assert heads(traffic) == 0


def test_a_snapshot_without_shares_has_nothing_to_compare_with(traffic: LiveTraffic) -> None:
    traffic.asked("head")
    traffic.serves(DIGEST, None)
    assert traffic.told() is None
