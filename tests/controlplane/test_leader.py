"""Two operators with one Lease, with the rights that the chart gives them: one works, the other takes over."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.fixtures import REPOSITORY
from cluster.operator_process import IMAGES, Api, OperatorProcess, condition, until
from cluster.train_jobs import MADE, OTHER, appeared, jobs, succeed, train_job

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.errors import NotLeading
from lore_operator.engine.leader import Leader, LeaseLost
from lore_operator.engine.resources import CONFIG_MAPS, LEASES, MODELS, TRAIN_JOBS
from lore_operator.settings import Lease

NAME = "lore-operator"
SECONDS = 10
"""Short, yet a leader on a busy machine still renews within two thirds of it."""
Start = Callable[[], OperatorProcess]


@pytest.fixture
def start(operator_account: Path, namespace: str, tmp_path: Path, kubectl: Kubectl) -> Iterator[Start]:
    """Starts operators that share a Lease in the test's namespace."""
    options = ("--namespace", namespace, "--set", "operator.replicas=2", "--show-only", "templates/rbac.yaml")
    command = [tools.require("helm"), "template", "lore", REPOSITORY / "charts/lore", *options]
    rendered = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    mine = [item for item in yaml.safe_load_all(rendered) if item["metadata"]["name"] == f"{NAME}-lease"]
    for item in mine:
        for subject in item.get("subjects", ()):
            subject["namespace"] = "default"
    assert [item["kind"] for item in mine] == ["Role", "RoleBinding"]
    kubectl.apply(*mine)
    running: list[OperatorProcess] = []

    def one() -> OperatorProcess:
        leased = {**IMAGES, "LORE_LEASE": f"{namespace}/{NAME}", "LORE_LEASE_SECONDS": str(SECONDS)}
        running.append(OperatorProcess(operator_account, namespace, tmp_path / f"{len(running)}.log", leased))
        running[-1].start()
        return running[-1]

    yield one
    for number, operator in enumerate(running):
        operator.kill()
        print((tmp_path / f"{number}.log").read_text()[-4000:])


async def holder(api: Api) -> str:
    found = {item["metadata"]["name"]: item["spec"]["holderIdentity"] for item in await api.items(LEASES)}
    return found.get(NAME, "")


async def leading(api: Api, other_than: str = "") -> str:
    return await until(lambda: holder(api), lambda found: found not in ("", other_than))


def writes(operator: OperatorProcess) -> list[str]:
    verbs = ("created", "applied", "deleted", "status written")
    return [line["message"] for line in operator.lines() if any(verb in line["message"] for verb in verbs)]


async def to_the_end(api: Api, stages: dict[str, str]) -> None:
    for stage, digest in stages.items():
        await appeared(api, f"demo-{stage}-a1")
        await succeed(api, f"demo-{stage}-a1", digest)
    await until(lambda: api.get(TRAIN_JOBS, "demo"), lambda found: condition(found, "Complete").get("status") == "True")


async def test_the_second_operator_finishes_what_the_killed_one_began(api: Api, start: Start) -> None:
    first = start()
    before = await leading(api)
    second = start()
    await api.create(train_job())
    job = await appeared(api, "demo-sft-a1")
    assert writes(second) == []

    first.kill()
    await leading(api, other_than=before)
    await to_the_end(api, {"sft": MADE, "student": OTHER})

    found = await jobs(api)
    assert sorted(found) == ["demo-sft-a1", "demo-student-a1"]
    assert found["demo-sft-a1"]["metadata"]["uid"] == job["metadata"]["uid"]
    assert await api.names(MODELS) == ["demo-llm", "demo-student"]
    created = [line for operator in (first, second) for line in writes(operator) if "created" in line]
    assert len(created) == len(set(created))
    assert second.stop() == 0
    assert await holder(api) == ""  # asked to end, it gives the lease up


async def test_a_leader_that_was_frozen_and_replaced_writes_nothing_and_ends(api: Api, start: Start) -> None:
    first = start()
    before = await leading(api)
    await api.create(train_job("early"))
    await appeared(api, "early-sft-a1")
    start()
    first.send(signal.SIGSTOP)
    await leading(api, other_than=before)
    await api.create(train_job("later"))
    await appeared(api, "later-sft-a1")
    version = (await api.get(CONFIG_MAPS, "later-sft-a1"))["metadata"]["resourceVersion"]

    first.send(signal.SIGCONT)

    assert first.wait() == 1
    # What it had sent before it was frozen, it may note now; what came later, it leaves alone.
    assert [line for line in writes(first) if "later" in line] == []
    assert (await api.get(CONFIG_MAPS, "later-sft-a1"))["metadata"]["resourceVersion"] == version


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_nothing_is_sent_once_the_lease_has_run_out(api: Api) -> None:
    clock, terms = Clock(), Lease(api.namespace, NAME, 15)
    async with KubeClient(connect) as own:
        leader = Leader(own, terms, "one", clock)
        async with KubeClient(connect, fence=leader.fence) as client:
            await leader.acquire()
            metadata: dict[str, Any] = {"name": "written", "namespace": api.namespace}
            await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, CONFIG_MAPS)
            clock.now += 10.0
            with pytest.raises(NotLeading):
                await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, CONFIG_MAPS)
            with pytest.raises(NotLeading):
                await client.merge(CONFIG_MAPS, api.namespace, "written", {"data": {"a": "b"}})
            assert "data" not in await client.get(CONFIG_MAPS, api.namespace, "written")
            with pytest.raises(LeaseLost):
                await leader.keep()


async def test_a_rival_waits_for_the_whole_lease_by_its_own_clock_whatever_the_stored_time_says(api: Api) -> None:
    terms, mine, theirs = Lease(api.namespace, NAME, 15), Clock(), Clock()
    theirs.now = 5.0  # two machines: nothing but the length of a second is shared
    async with KubeClient(connect) as client:
        leader, rival = Leader(client, terms, "one", mine), Leader(client, terms, "two", theirs)
        await leader.acquire()
        # The leader's wall clock is decades behind.
        await api.patch(LEASES, NAME, {"spec": {"renewTime": "2001-01-01T00:00:00.000000Z"}})
        for passed in (0.0, 14.0):
            theirs.now = 5.0 + passed
            await rival.ask()
            assert not rival.leads
        theirs.now = 5.0 + 15.0
        await rival.ask()
        assert rival.leads


async def test_a_lease_that_is_given_up_is_free_at_once(api: Api) -> None:
    async with KubeClient(connect) as client:
        leader, rival = (Leader(client, Lease(api.namespace, NAME, 600), name, Clock()) for name in ("one", "two"))
        await leader.acquire()
        await leader.resign()
        await rival.ask()
        assert (leader.leads, rival.leads) == (False, True)
