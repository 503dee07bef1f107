"""Who may edit one namespace reaches nothing in another through the operator, and no Secret's value goes anywhere."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.audit import asked
from cluster.fixtures import REPOSITORY
from cluster.operator_process import Api, OperatorProcess, condition, until, with_token
from cluster.train_jobs import DIGEST, MADE, appeared, train_job
from controlplane.test_operator_serving import MODEL, SERVING, Cluster, evaluation

from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Kubectl
from lore_operator.engine.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVALS,
    EVENTS,
    INFERENCE_SERVICES,
    JOBS,
    KINDS,
    MODELS,
    REVISIONS,
    SERVICES,
    TRAIN_JOBS,
    WORKLOADS,
)

ACCOUNT = "system:serviceaccount:default:lore-operator"
SECRET = "a-value-that-nobody-else-has"


@pytest.fixture
async def other(api: Api, kubectl: Kubectl) -> AsyncIterator[Api]:
    """Another team's namespace."""
    name = f"{api.namespace}-o"
    kubectl("create", "namespace", name)
    yield Api(api.client, name)
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def serves_both(operator_account: Path, api: Api, other: Api, tmp_path: Path) -> Iterator[OperatorProcess]:
    """One operator for both namespaces."""
    running = OperatorProcess(operator_account, f"{api.namespace},{other.namespace}", tmp_path / "operator.log")
    running.start()
    yield running
    running.kill()
    print((tmp_path / "operator.log").read_text()[-4000:])


@pytest.fixture
async def bob(api: Api, kubectl: Kubectl) -> str:
    """A person with the cluster role `edit` in the first namespace, to which the release adds our kinds."""
    manifests = yaml.safe_load_all((REPOSITORY / "deploy/operator.yaml").read_text())
    label = "rbac.authorization.k8s.io/aggregate-to-edit"
    kubectl.apply(*(item for item in manifests if item and label in (item["metadata"].get("labels") or {})))
    kubectl("create", "rolebinding", "bob", "--clusterrole=edit", "--user=bob", "-n", api.namespace)

    async def may() -> bool:
        return can(kubectl, "create", "relevancetrainjobs", api.namespace)

    await until(may, bool)
    return "bob"


def can(kubectl: Kubectl, verb: str, resource: str, namespace: str) -> bool:
    try:
        return kubectl("auth", "can-i", verb, resource, "--as=bob", "-n", namespace).strip() == "yes"
    except ClusterError:
        return False


async def test_who_may_edit_one_namespace_reaches_nothing_in_another(
    api: Api, other: Api, bob: str, serves_both: OperatorProcess, kubectl: Kubectl
) -> None:
    await other.create(MODEL)
    await other.create(train_job())
    await appeared(other, "demo-sft-a1")
    before = await other.versions()
    owner = {"kind": "RelevanceTrainJob", "name": "demo", "stage": "sft", "attempt": "1", "role": "report"}
    labels = {"app.kubernetes.io/managed-by": "lore-operator", **{f"lore-platform.io/{k}": v for k, v in owner.items()}}
    report = {"phase": "Succeeded", "result": {"uri": "pvc://theirs/forged", "digest": MADE}}
    forged = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "demo-sft-a1-report", "labels": labels},
        "data": {"report.json": json.dumps(report)},
    }

    for item in (forged, evaluation("llm"), train_job("demo", runToken="mine")):
        text = json.dumps({**item, "metadata": {**item["metadata"], "namespace": api.namespace}})
        kubectl("create", "--filename=-", f"--as={bob}", stdin=text)

    found = await until(lambda: api.get(EVALS, "llm-eval"), lambda seen: bool(condition(seen, "Ready")))
    assert "llm" in json.dumps(found["status"]["conditions"]), "the model of the other namespace is not there"
    stalled = await until(lambda: api.get(TRAIN_JOBS, "demo"), lambda seen: bool(condition(seen, "Ready")))
    assert condition(stalled, "Ready")["status"] != "True"
    assert await api.names(MODELS) == []
    after = await other.versions()
    # The job's own status goes on telling what its pod waits for.
    assert after | {"RelevanceTrainJob/demo": ""} == before | {"RelevanceTrainJob/demo": ""}
    theirs = await other.get(TRAIN_JOBS, "demo")
    assert condition(theirs, "Ready")["status"] != "True"
    assert "forged" not in json.dumps(theirs)
    for verb, resource in (("create", "relevanceevals"), ("get", "configmaps"), ("patch", "relevancedeployments")):
        assert not can(kubectl, verb, resource, other.namespace)


ROUTED: dict[str, Any] = {
    **SERVING,
    "spec": {**SERVING["spec"], "tiers": [SERVING["spec"]["tiers"][1]], "gate": {"mode": "Disabled"}},
}


@pytest.mark.usefixtures("kserve_kinds")
async def test_who_may_edit_one_namespace_reaches_nothing_in_another_through_a_router(
    api: Api, other: Api, bob: str, serves_both: OperatorProcess, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    await other.create(MODEL)
    await api.create({**MODEL, "metadata": {"name": "own"}})
    await other.create(ROUTED)
    mine = json.loads(json.dumps(ROUTED).replace('"llm"', '"own"'))
    theirs = {**ROUTED, "metadata": {"name": "borrowed"}}
    for item in (mine, theirs):
        text = json.dumps({**item, "metadata": {**item["metadata"], "namespace": api.namespace}})
        kubectl("create", "--filename=-", f"--as={bob}", stdin=text)

    borrowed = await until(lambda: api.get(DEPLOYMENTS, "borrowed"), lambda seen: bool(condition(seen, "Ready")))
    assert condition(borrowed, "Ready")["reason"] == "AwaitingModel", "the model of the other namespace is not there"
    for place in (api, other):
        cluster = Cluster(place, 0)
        await until(lambda place=place: place.names(INFERENCE_SERVICES), bool)
        await cluster.bring_up_predictors()
        await until(cluster.config, lambda config: config is not None)
        told = json.dumps((await place.get(CONFIG_MAPS, "search-router"))["data"])
        (elsewhere,) = {api.namespace, other.namespace} - {place.namespace}
        assert f".{place.namespace}.svc" in told
        assert f".{elsewhere}.svc" not in told

    token = kubectl("create", "token", "search-router", "-n", api.namespace).strip()
    router = with_token(kubeconfig, token, tmp_path / "router")
    may = Kubectl(kubectl.binary, router)
    assert json.loads(may("get", "configmap", "search-router", "-n", api.namespace, "-o", "json"))["data"]
    for what in (
        ("configmap/search-router", other.namespace),
        ("configmaps", api.namespace),
        ("secrets", api.namespace),
        ("secrets", other.namespace),
        ("relevancemodels", other.namespace),
    ):
        with pytest.raises(ClusterError, match="Forbidden"):
            may("get", what[0], "-n", what[1])


def with_secret(resource: dict[str, Any], field: str) -> dict[str, Any]:
    """The resource with the Secret named for one of its artifacts, or for itself where the field is `spec`."""
    copy: dict[str, Any] = json.loads(json.dumps(resource))
    (copy["spec"] if field == "spec" else copy["spec"][field])["secretRef"] = {"name": "store"}
    return copy


@pytest.mark.usefixtures("kserve_kinds")
async def test_the_value_of_a_secret_reaches_no_resource_no_config_map_and_no_log(
    api: Api, operator: OperatorProcess, kubectl: Kubectl, control_plane: ControlPlane
) -> None:
    kubectl("create", "secret", "generic", "store", f"--from-literal=token={SECRET}", "-n", api.namespace)
    named = {"uri": "s3://models/base", "digest": DIGEST, "secretRef": {"name": "store"}}
    deployment = with_secret(ROUTED, "strata")
    deployment["spec"]["router"] = {use: {"secretRef": {"name": "store"}} for use in ("tokens", "tls")}
    await api.create(train_job(baseModel=named, runner={"imagePullSecrets": [{"name": "store"}]}))
    await api.create(with_secret(MODEL, "spec"))
    await api.create(with_secret(evaluation("llm"), "benchmark"))
    await api.create(deployment)
    await appeared(api, "demo-sft-a1")
    cluster = Cluster(api, 0)
    await until(lambda: api.names(INFERENCE_SERVICES), bool)
    await cluster.bring_up_predictors()
    await until(cluster.config, lambda config: config is not None)
    await until(lambda: api.names(JOBS), lambda found: any(name.startswith("llm-eval-") for name in found))

    kinds = (*KINDS.values(), CONFIG_MAPS, JOBS, EVENTS, INFERENCE_SERVICES, WORKLOADS, REVISIONS, SERVICES)
    written: list[list[dict[str, Any]]] = await asyncio.gather(*(api.items(kind) for kind in kinds))
    assert [kind.kind for kind, found in zip(kinds, written, strict=True) if not found] == []
    text = json.dumps([written, operator.lines()])
    assert '"store"' in text
    for form in (SECRET, base64.b64encode(SECRET.encode()).decode()):
        assert form not in text
    assert not {right for right in asked(control_plane.audit_log, ACCOUNT) if right.resource == "secrets"}
