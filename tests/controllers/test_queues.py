"""Train jobs in a queue of Kueue: what it holds back, admits and takes back, and that nobody fights over a Job."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cluster.audit import writes
from cluster.operator_process import Api, OperatorProcess, condition, until
from cluster.train_jobs import appeared, jobs, train_job

from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import Kubectl
from lore_operator.engine.resources import JOB_SETS, JOBS, PODS, TRAIN_JOBS, Resource

ACCOUNT = "system:serviceaccount:default:lore-operator"
POOL = {"pool": "gpus"}
KUEUE = "kueue.x-k8s.io/v1beta2"
ONE_CPU: dict[str, Any] = {"queueName": "gpu", "resources": {"requests": {"cpu": "1"}}}
URGENT = {**ONE_CPU, "podTemplate": {"spec": {"priorityClassName": "urgent"}}}


@pytest.fixture
def queue(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """A queue with room for two CPUs on nodes of one pool; what is urgent takes from what is not."""
    flavor = {"name": namespace, "resources": [{"name": "cpu", "nominalQuota": "2"}]}
    kubectl.apply(
        {"apiVersion": KUEUE, "kind": "ResourceFlavor", "metadata": {"name": namespace}, "spec": {"nodeLabels": POOL}},
        {
            "apiVersion": KUEUE,
            "kind": "ClusterQueue",
            "metadata": {"name": namespace},
            "spec": {
                "namespaceSelector": {},
                "preemption": {"withinClusterQueue": "LowerPriority"},
                "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [flavor]}],
            },
        },
        {
            "apiVersion": KUEUE,
            "kind": "LocalQueue",
            "metadata": {"name": "gpu", "namespace": namespace},
            "spec": {"clusterQueue": namespace},
        },
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 1000},
    )
    yield "gpu"
    kubectl("delete", "clusterqueue", namespace, "--wait=false")


async def told(api: Api, name: str, reason: str) -> dict[str, Any]:
    """The train job once it says so."""

    async def look() -> dict[str, Any]:
        return await api.get(TRAIN_JOBS, name)

    return await until(look, lambda found: condition(found, "Reconciling").get("reason") == reason)


async def admitted(api: Api, resource: Resource, name: str) -> dict[str, Any]:
    """The Job or JobSet once Kueue lets it run."""

    async def look() -> list[dict[str, Any]]:
        return [item for item in await api.items(resource) if item["metadata"]["name"] == name]

    (found,) = await until(look, lambda seen: bool(seen) and seen[0]["spec"].get("suspend") is False)
    return found


def failures(found: dict[str, Any]) -> tuple[int, str]:
    """Restarts and the latest failure's reason."""
    status = found["status"]
    return status.get("restarts", 0), status.get("failure", {}).get("reason", "")


@pytest.mark.usefixtures("queue")
async def test_a_job_waits_for_quota_then_runs_where_kueue_wants_it_and_nobody_writes_twice(
    api: Api, operator: OperatorProcess, control_plane: ControlPlane
) -> None:
    for name in ("first", "second", "third"):
        await api.create(train_job(name, runner=ONE_CPU))
        await appeared(api, f"{name}-sft-a1")
    running = [await admitted(api, JOBS, f"{name}-sft-a1") for name in ("first", "second")]

    waiting = condition(await told(api, "third", "Queued"), "Reconciling")["message"]
    held = (await jobs(api))["third-sft-a1"]
    assert held["spec"]["suspend"] is True
    since = next(item for item in held["status"]["conditions"] if item["type"] == "Suspended")["lastTransitionTime"]
    assert f"suspended since {since}" in waiting
    assert [job["spec"]["template"]["spec"]["nodeSelector"] for job in running] == [POOL, POOL]

    await api.patch(TRAIN_JOBS, "first", {"spec": {"suspend": True}})
    await admitted(api, JOBS, "third-sft-a1")
    operator.stop()
    written = writes(control_plane.audit_log, ACCOUNT, api.namespace, "jobs")
    assert written == [("create", f"{name}-sft-a1") for name in ("first", "second", "third")] + [
        ("delete", "first-sft-a1")
    ]


@pytest.mark.usefixtures("queue")
async def test_what_kueue_takes_back_is_queued_again_and_costs_no_restart(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job("patient", runner={**ONE_CPU, "resources": {"requests": {"cpu": "2"}}}))
    await admitted(api, JOBS, "patient-sft-a1")

    await api.create(train_job("urgent", runner=URGENT))
    await admitted(api, JOBS, "urgent-sft-a1")

    found = await told(api, "patient", "Queued")
    assert failures(found) == (0, "")
    job = (await jobs(api))["patient-sft-a1"]
    assert (job["spec"]["suspend"], job["spec"]["template"]["spec"].get("nodeSelector")) == (True, None)

    await api.patch(TRAIN_JOBS, "urgent", {"spec": {"suspend": True}})
    await admitted(api, JOBS, "patient-sft-a1")
    assert failures(await api.get(TRAIN_JOBS, "patient")) == (0, "")


@pytest.fixture
def node(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """A node of the pool that exists in the API alone: the scheduler binds pods to it, and the test is its kubelet."""
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": ""}
    room = {"cpu": "8", "memory": "64Gi", "pods": "20"}
    name = f"node-{namespace}"
    labels = {**POOL, "kubernetes.io/hostname": name}
    kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    status = {"capacity": room, "allocatable": room, "conditions": [ready]}
    kubectl("patch", "node", name, "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}")
    yield name
    kubectl("delete", "node", name)


def without_claims(job: dict[str, Any]) -> dict[str, Any]:
    """The same on an object store: no claim stands here, and the scheduler binds no pod that waits for one."""
    found: dict[str, Any] = json.loads(json.dumps(job).replace("pvc://", "s3://"))
    return found


@pytest.mark.usefixtures("queue", "node")
@pytest.mark.parametrize("workload", ["Job", "JobSet"])
async def test_pods_that_end_by_sigterm_when_kueue_takes_the_quota_are_a_disruption(
    api: Api, operator: OperatorProcess, kubectl: Kubectl, workload: str
) -> None:
    """The Job's failure policy takes them for failed: the next attempt waits in the queue, and maxRestarts is untouched."""
    runner = {**ONE_CPU, "resources": {"requests": {"cpu": "2"}}}
    patient = train_job("patient", runner=runner, runPolicy={"maxRestarts": 0}, workload=workload)
    kind = JOB_SETS if workload == "JobSet" else JOBS
    await api.create(without_claims(patient))
    await admitted(api, kind, "patient-sft-a1")
    (pod,) = await until(lambda: api.items(PODS), lambda pods: bool(pods) and "nodeName" in pods[0]["spec"])
    name = pod["metadata"]["name"]
    await api.patch(PODS, name, {"status": _running()}, "status")

    await api.create(train_job("urgent", runner=URGENT))
    taken = await until(lambda: api.get(PODS, name), lambda found: "deletionTimestamp" in found["metadata"])
    assert taken["metadata"]["deletionGracePeriodSeconds"] == 120, "time for a checkpoint"
    await api.patch(PODS, name, {"status": _ended(143)}, "status")

    async def look() -> dict[str, Any]:
        return await api.get(TRAIN_JOBS, "patient")

    found = await until(look, lambda seen: failures(seen)[1] == "Disrupted")
    assert failures(found)[0] == 0
    kubectl("delete", "pod", name, f"--namespace={api.namespace}", "--grace-period=0", "--force")

    async def again() -> dict[str, Any]:
        return {item["metadata"]["name"]: item for item in await api.items(kind)}

    queued = await until(again, lambda seen: "patient-sft-a2" in seen)
    assert queued["patient-sft-a2"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"
    await told(api, "patient", "Queued")


@pytest.mark.usefixtures("queue")
async def test_a_jobset_goes_through_the_same_queue_to_its_job_and_pods(api: Api, operator: OperatorProcess) -> None:
    await api.create(train_job("first", runner=ONE_CPU))
    await admitted(api, JOBS, "first-sft-a1")
    await api.create(train_job("gang", runner=ONE_CPU, nodes={"count": 2}, workload="JobSet"))

    waiting = condition(await told(api, "gang", "Queued"), "Reconciling")["message"]
    assert "JobSet gang-sft-a1 is suspended since" in waiting

    await api.patch(TRAIN_JOBS, "first", {"spec": {"suspend": True}})
    await admitted(api, JOB_SETS, "gang-sft-a1")
    member = await admitted(api, JOBS, "gang-sft-a1-n-0")
    assert member["spec"]["template"]["spec"]["nodeSelector"] == POOL
    pods = await until(lambda: api.items(PODS), lambda seen: len(seen) == 2)
    assert {(pod["spec"]["hostname"], pod["spec"]["subdomain"]) for pod in pods} == {
        (f"gang-sft-a1-n-0-{rank}", "gang-sft-a1") for rank in range(2)
    }
    variables = {item["name"]: item.get("value") for item in pods[0]["spec"]["containers"][0]["env"]}
    assert variables["LORE_MASTER_ADDR"] == "gang-sft-a1-n-0-0.gang-sft-a1"


def _running() -> dict[str, Any]:
    container = {"name": "lore", "image": "trainer:test", "imageID": "", "ready": True, "restartCount": 0}
    started = {"state": {"running": {"startedAt": "2026-11-01T00:00:00Z"}}}
    return {"phase": "Running", "containerStatuses": [{**container, **started}]}


def _ended(code: int) -> dict[str, Any]:
    container = {"name": "lore", "image": "trainer:test", "imageID": "", "ready": False, "restartCount": 0}
    ended = {"state": {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": "2026-11-01T00:01:00Z"}}}
    return {"phase": "Failed", "containerStatuses": [{**container, **ended}]}
