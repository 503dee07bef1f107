"""What may stand beside the operator: noticed when it comes, and when it goes."""

import logging

import pytest

from lore_operator.engine.neighbours import NEIGHBOURS, Neighbours

KSERVE, MONITORING = "serving.kserve.io", "monitoring.coreos.com"


class Cluster:
    """Serves what it is told to."""

    def __init__(self, *served: str) -> None:
        self.served = {"apps", *served}

    async def groups(self) -> frozenset[str]:
        return frozenset(self.served)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "lore_operator.engine.neighbours")
    return caplog


async def test_the_first_look_says_what_is_there_and_what_is_not(said: pytest.LogCaptureFixture) -> None:
    measured: dict[str, bool] = {}

    await Neighbours(Cluster(KSERVE), (), measured.__setitem__).look()

    assert said.messages == [
        "this cluster has KServe; it lacks Kueue, JobSet, the Gateway API, the Prometheus operator"
    ]
    assert measured == {group: group == KSERVE for group in NEIGHBOURS}


async def test_what_comes_and_what_goes_is_said_once(said: pytest.LogCaptureFixture) -> None:
    cluster, measured = Cluster(KSERVE), dict[str, bool]()
    neighbours = Neighbours(cluster, (), measured.__setitem__)
    await neighbours.look()
    said.clear()

    cluster.served = {"kueue.x-k8s.io"}
    await neighbours.look()
    await neighbours.look()

    assert sorted(said.messages) == [
        "KServe is gone: serving.kserve.io is not served any more",
        "Kueue is there now: kueue.x-k8s.io is served",
    ]
    assert measured[KSERVE] is False


@pytest.mark.parametrize("first", [(), (MONITORING,)], ids=["comes later", "there at the start"])
async def test_monitors_that_the_chart_left_out_are_asked_for_once_their_kind_is_there(
    first: tuple[str, ...], said: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster(*first)
    neighbours = Neighbours(cluster, ("PodMonitor", "PrometheusRule"), lambda group, served: None)

    await neighbours.look()
    cluster.served.add(MONITORING)
    await neighbours.look()
    await neighbours.look()

    warnings = [record.getMessage() for record in said.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "left out PodMonitor, PrometheusRule" in warnings[0]
    assert "helm upgrade" in warnings[0]


async def test_nothing_is_asked_of_who_left_nothing_out(said: pytest.LogCaptureFixture) -> None:
    await Neighbours(Cluster(MONITORING), (), lambda group, served: None).look()

    assert [record for record in said.records if record.levelno == logging.WARNING] == []
