"""Live traffic beside the snapshot's shares: what status tells, when the condition is true, and that trembling writes nothing."""

import pytest
from unit.plan.serving_world import SPEC, ServingWorld, serve, world
from unit.plan.world import condition, digest

from lore_core.router.config import STRATA, SnapshotTraffic

EXPECTED = {"head": 0.5, "torso": 0.3, "tail": 0.2}


def traffic(head: int, torso: int, tail: int, snapshot: str = SPEC["strata"]["digest"]) -> SnapshotTraffic:
    queries = dict(zip(STRATA, (head, torso, tail), strict=True))
    return SnapshotTraffic.model_validate({"strata": snapshot, "expected": EXPECTED, "queries": queries})


@pytest.fixture
def serving() -> ServingWorld:
    w = world()
    serve(w)
    return w


def told(w: ServingWorld) -> dict[str, tuple[int, int]]:
    found = w.resource["status"].get("traffic", [])
    return {item["stratum"]: (item["expected"], item["live"]) for item in found}


def drifted(w: ServingWorld) -> str | None:
    found = condition(w.resource["status"], "StrataDrifted")
    return found["message"] if found else None


def test_shares_of_all_routers_stand_beside_the_snapshots(serving: ServingWorld) -> None:
    serving.traffic = traffic(255, 145, 100)  # two routers: 1,000 queries
    serve(serving)
    assert told(serving) == {"head": (50, 51), "torso": (30, 29), "tail": (20, 20)}
    assert drifted(serving) is None


def test_a_share_that_left_its_bounds_is_a_condition_that_leaves_ready_alone(serving: ServingWorld) -> None:
    serving.traffic = traffic(1950, 1500, 1550)
    serve(serving)
    text = drifted(serving)
    assert text is not None
    assert "head 39 % beside 50 %, tail 31 % beside 20 % in the snapshot's log" in text
    ready = condition(serving.resource["status"], "Ready")
    assert ready is not None
    assert ready["status"] == "True"
    serving.traffic = traffic(2500, 1500, 1000)
    serve(serving)
    assert drifted(serving) is None


def test_the_threshold_is_the_specs(serving: ServingWorld) -> None:
    serving.traffic = traffic(2250, 1500, 1250)
    serve(serving)
    assert drifted(serving) is None
    serving.edit(drift={"maxPoints": 4})
    serve(serving)
    assert drifted(serving) is not None


def test_few_queries_or_those_of_another_snapshot_say_nothing(serving: ServingWorld) -> None:
    serving.traffic = traffic(499, 0, 0)  # twice 499 of the 1,000 needed
    serve(serving)
    assert told(serving) == {}
    serving.traffic = traffic(0, 0, 5000, snapshot=digest("7"))
    serve(serving)
    assert (told(serving), drifted(serving)) == ({}, None)


def test_a_share_that_trembles_writes_nothing(serving: ServingWorld) -> None:
    serving.traffic = traffic(5054, 2946, 2000)
    serve(serving)
    before = serving.resource["status"]
    assert told(serving)["head"] == (50, 51)
    for head in (5046, 5054, 5049, 5051, 5140):
        serving.traffic = traffic(head, 8000 - head, 2000)
        assert serving.plan().status == before
    serving.traffic = traffic(5210, 2790, 2000)
    serve(serving)
    assert told(serving)["head"] == (50, 52)
