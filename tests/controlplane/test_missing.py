"""A cluster that lacks something: what the operator says, that the rest goes on, and that it notices what comes later."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.fixtures import REPOSITORY
from cluster.manifests import stand_in
from cluster.operator_process import Api, OperatorProcess, condition, until, with_token
from cluster.train_jobs import appeared, train_job
from controlplane.test_operator_serving import MODEL, SERVING, Cluster, cluster, served

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl
from lore_operator.engine.neighbours import Neighbours
from lore_operator.engine.resources import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOB_SETS,
    JOBS,
    TRAIN_JOBS,
    Resource,
)

__all__ = ["cluster"]

ROUTES = "httproutes.gateway.networking.k8s.io"
KSERVE = "inferenceservices.serving.kserve.io"
DIRECT: dict[str, Any] = {
    **SERVING,
    "spec": {**SERVING["spec"], "tiers": [SERVING["spec"]["tiers"][1]], "gate": {"mode": "Disabled"}},
}


async def told(api: Api, resource: Resource, name: str, words: str) -> dict[str, Any]:
    """The condition that says so."""

    async def look() -> dict[str, Any]:
        return condition(await api.get(resource, name), "Reconciling")

    return await until(look, lambda found: words in found.get("message", ""))


def unserved(kubectl: Kubectl, name: str, file: Path) -> Iterator[Path]:
    """The file of a kind while it is not served; afterwards it is again."""
    kubectl("delete", "crd", name, "--ignore-not-found", "--timeout=60s")
    yield file
    kubectl.apply_definitions([file])


@pytest.fixture
def without_kserve(kubectl: Kubectl) -> Iterator[Path]:
    """The file of the kind that is not served; it is served again afterwards."""
    yield from unserved(
        kubectl, KSERVE, tools.manifests("kserve") / "crd/full/serving.kserve.io_inferenceservices.yaml"
    )


async def test_without_kserve_training_goes_on_and_kserve_is_noticed(
    without_kserve: Path, operator: OperatorProcess, api: Api, kubectl: Kubectl
) -> None:
    await api.create(MODEL)
    await api.create(DIRECT)

    found = await told(api, DEPLOYMENTS, "search", "install KServe")
    assert found["reason"] == "KindNotInstalled"
    await api.create(train_job())
    await appeared(api, "demo-sft-a1")

    kubectl.apply_definitions([without_kserve])
    await until(lambda: api.names(INFERENCE_SERVICES), bool)


@pytest.fixture
def without_routes(kubectl: Kubectl) -> Iterator[Path]:
    """The file of the Gateway API's kind, which is not served; it is served again afterwards."""
    yield from unserved(kubectl, ROUTES, tools.manifests("gateway-api") / "gateway.networking.k8s.io_httproutes.yaml")


async def test_without_the_gateway_api_callers_are_served_and_it_is_noticed(
    kserve_kinds: None,
    entrance_kinds: None,
    without_routes: Path,
    operator: OperatorProcess,
    api: Api,
    cluster: Cluster,
    kubectl: Kubectl,
) -> None:
    await served(cluster)
    gateway = {"parents": [{"name": "public"}], "hostnames": ["rank.example.com"]}
    await api.patch(DEPLOYMENTS, "search", {"spec": {"router": {"gateway": gateway}}})

    found = await told(api, DEPLOYMENTS, "search", "install the Gateway API")
    assert found["reason"] == "KindNotInstalled"
    assert condition(await api.get(DEPLOYMENTS, "search"), "Available")["status"] == "True"

    kubectl.apply_definitions([without_routes])
    await until(lambda: api.names(HTTP_ROUTES), bool)


@pytest.fixture
def kueue(kubectl: Kubectl, tmp_path: Path) -> Iterator[Path]:
    """A definition of Kueue's group, to be applied; Kueue itself does not run."""
    file = tmp_path / "kueue.json"
    file.write_text(json.dumps(stand_in("kueue.x-k8s.io", "v1beta2", "LocalQueue")))
    yield file
    kubectl("delete", "crd", "localqueues.kueue.x-k8s.io", "--ignore-not-found", "--wait=false")


async def test_without_kueue_a_queued_job_takes_nothing_until_kueue_is_there(
    kueue: Path, operator: OperatorProcess, api: Api, kubectl: Kubectl
) -> None:
    await api.create(train_job(runner={"queueName": "gpu"}))

    found = await told(api, TRAIN_JOBS, "demo", "Install Kueue")
    assert found["reason"] == "KindNotInstalled"
    assert await api.names(JOBS) == []

    kubectl.apply_definitions([kueue])
    assert (await appeared(api, "demo-sft-a1"))["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"


@pytest.fixture
def jobset(kubectl: Kubectl, tmp_path: Path) -> Iterator[Path]:
    """JobSet's kind, to be applied."""
    file = tmp_path / "jobset.json"
    file.write_text(json.dumps(stand_in("jobset.x-k8s.io", "v1alpha2", "JobSet")))
    yield file
    kubectl("delete", "crd", "jobsets.jobset.x-k8s.io", "--ignore-not-found", "--wait=false")


async def test_without_jobset_other_train_jobs_go_on_and_jobset_is_noticed(
    jobset: Path, operator: OperatorProcess, api: Api, kubectl: Kubectl
) -> None:
    await api.create(train_job("gang", workload="JobSet"))

    found = await told(api, TRAIN_JOBS, "gang", "install JobSet 0.12")
    assert found["reason"] == "KindNotInstalled"
    await api.create(train_job())
    await appeared(api, "demo-sft-a1")

    kubectl.apply_definitions([jobset])
    assert await until(lambda: api.names(JOB_SETS), bool) == ["gang-sft-a1"]


@pytest.fixture
def pod_monitor(kubectl: Kubectl, tmp_path: Path) -> Iterator[Path]:
    """The Prometheus operator's kind, to be applied."""
    file = tmp_path / "podmonitor.json"
    file.write_text(json.dumps(stand_in("monitoring.coreos.com", "v1", "PodMonitor")))
    yield file
    kubectl("delete", "crd", "podmonitors.monitoring.coreos.com", "--ignore-not-found", "--wait=false")


async def test_a_prometheus_operator_that_comes_later_is_noticed_and_the_monitors_are_asked_for(
    pod_monitor: Path, api: Api, kubectl: Kubectl, caplog: pytest.LogCaptureFixture
) -> None:
    measured: dict[str, bool] = {}
    neighbours = Neighbours(api.client, ("PodMonitor",), measured.__setitem__)
    await neighbours.look()
    assert measured["monitoring.coreos.com"] is False

    kubectl.apply_definitions([pod_monitor])

    async def again() -> str:
        await neighbours.look()
        return "\n".join(caplog.messages)

    await until(again, lambda said: "left out PodMonitor" in said and "helm upgrade" in said)
    assert measured["monitoring.coreos.com"]


@pytest.fixture
def weak(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[OperatorProcess]:
    """An operator that may do everything of the chart but one thing, a verb on a plural."""
    forbidden, plural = request.param
    rules = yaml.safe_load((REPOSITORY / "charts/lore/files/rules.yaml").read_text())["rules"]
    for rule in rules:
        rule["verbs"] = [verb for verb in rule["verbs"] if rule["resources"] != [plural] or verb != forbidden]
    rules = [rule for rule in rules if rule["verbs"]]
    metadata = {"name": "weak", "namespace": namespace}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    subject = {"kind": "ServiceAccount", "name": "weak", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "weak"}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {**rbac, "kind": "Role", "rules": rules},
        {**rbac, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
    )
    login = with_token(kubeconfig, kubectl("create", "token", "weak", "-n", namespace).strip(), tmp_path / "weak")
    running = OperatorProcess(login, namespace, tmp_path / "weak.log")
    running.start()
    yield running
    running.kill()
    print((tmp_path / "weak.log").read_text()[-4000:])


@pytest.mark.parametrize("weak", [("create", "jobs")], indirect=True)
async def test_a_missing_right_is_named_with_the_commands_that_grant_it(
    weak: OperatorProcess, api: Api, kubectl: Kubectl
) -> None:
    await api.create(train_job())

    found = await told(api, TRAIN_JOBS, "demo", 'cannot create resource "jobs" in API group "batch"')
    assert found["reason"] == "ApiForbidden"
    commands = re.findall(r"kubectl (create [^&(]+)", found["message"])
    assert len(commands) == 2, found["message"]
    for command in commands:
        kubectl(*shlex.split(command))
    await appeared(api, "demo-sft-a1")


@pytest.mark.parametrize("weak", [("get", "persistentvolumeclaims")], indirect=True)
async def test_who_may_not_read_claims_trains_all_the_same_and_says_that_nobody_checked_them(
    weak: OperatorProcess, api: Api, kubectl: Kubectl
) -> None:
    await api.create(train_job(nodes={"count": 2}))

    await appeared(api, "demo-sft-a1")
    found = await until(lambda: api.get(TRAIN_JOBS, "demo"), lambda seen: bool(condition(seen, "ClaimsUnchecked")))
    assert 'cannot get resource "persistentvolumeclaims"' in condition(found, "ClaimsUnchecked")["message"]
    assert condition(found, "Reconciling")["reason"] != "ApiForbidden"
