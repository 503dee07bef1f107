"""A deployment on a real control plane. The tests play KServe, kubelet and the pods; there are no nodes here."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from cluster.operator_process import Api, OperatorProcess, condition, until
from cluster.train_jobs import report_made

from lore_core.jobs import ServingProfile
from lore_core.router.config import RouterConfig
from lore_operator.engine.errors import NotFound
from lore_operator.engine.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVALS,
    HTTP_ROUTES,
    INFERENCE_GRAPHS,
    INFERENCE_SERVICES,
    JOBS,
    PODS,
    REVISIONS,
    SERVICES,
    WORKLOADS,
)


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def lore(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "lore-platform.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


MODEL = lore("RelevanceModel", "llm", {"uri": "pvc://lore/llm", "digest": digest("a"), "role": "Generative"})
BETTER = lore("RelevanceModel", "better", {"uri": "pvc://lore/better", "digest": digest("f"), "role": "Generative"})
SERVING = lore(
    "RelevanceDeployment",
    "search",
    {
        "strata": {"uri": "pvc://lore/strata", "digest": digest("1")},
        "items": {"uri": "pvc://lore/items", "digest": digest("2")},
        "workspace": {"uri": "pvc://lore/runs"},
        "tiers": [
            {
                "stratum": "head",
                "cache": {"candidates": {"uri": "pvc://lore/candidates", "digest": digest("3")}, "onMiss": "tail"},
            },
            {"stratum": "tail", "predictor": {"modelRef": {"name": "llm"}}},
        ],
        "gate": {"requirements": [{"name": "quality"}]},
    },
)


def evaluation(model: str) -> dict[str, Any]:
    return lore(
        "RelevanceEval",
        f"{model}-eval",
        {
            "modelRef": {"name": model},
            "benchmark": {"uri": "pvc://lore/benchmark", "digest": digest("b")},
            "ruleSet": {"uri": "pvc://lore/rules", "digest": digest("4")},
            "workspace": {"uri": "pvc://lore/runs"},
            "gates": [{"name": "floor", "metric": "MacroF1", "min": "0.5"}],
        },
    )


pytestmark = pytest.mark.usefixtures("kserve_kinds", "entrance_kinds")


class Cluster:
    """What happens outside the operator."""

    def __init__(self, api: Api, port: int) -> None:
        self.api, self._port = api, port
        self.statistics: dict[str, Any] = {}

    async def end_job(self, job: str, digest_of_result: str, summary: dict[str, Any]) -> None:
        """The pod of a Job delivers its result and ends."""
        report = {
            "phase": "Succeeded",
            "startedAt": "2026-11-01T00:00:00Z",
            "lastUpdated": "2026-11-01T00:01:00Z",
            "result": {"uri": f"pvc://lore/{job}", "digest": digest_of_result},
            "summary": summary,
        }
        await report_made(self.api, job)
        await self.api.patch(CONFIG_MAPS, f"{job}-report", {"data": {"report.json": json.dumps(report)}})
        await until(lambda: self.api.get(JOBS, job), lambda found: found.get("status", {}).get("active") == 1)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        met = [
            {"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        done = {"completionTime": now, "succeeded": 1, "active": 0, "ready": 0, "terminating": 0}
        await self.api.patch(
            JOBS, job, {"status": {**done, "conditions": met, "uncountedTerminatedPods": {}}}, "status"
        )

    async def judge(self, model: str, verdict: str = "Passed") -> None:
        """A new evaluation ends with a verdict."""
        await self.api.create(evaluation(model))
        await self.end_evaluation(model, verdict)

    async def end_evaluation(self, model: str, verdict: str = "Passed") -> None:
        """The pod of an evaluation that runs delivers its verdict."""
        job = await self.job_like(f"{model}-eval-")
        config = json.loads((await self.api.get(CONFIG_MAPS, job))["data"]["config.json"])
        gate = {"name": "floor", "outcome": verdict, "severity": "Required", "message": "MacroF1 is 0.4, the floor 0.5"}
        summary = {
            "verdict": verdict,
            "gates": [gate],
            "scores": [],
            "primary": {"metric": "MacroF1", "value": "0.4"},
            "modelDigest": config["model"]["digest"],
            "gateSetDigest": config["gateSetDigest"],
            "benchmarkDigest": config["benchmark"]["digest"],
            "rulesDigest": config["ruleSet"]["digest"],
            "profileDigest": ServingProfile.model_validate(config["profile"]).content_digest(),
        }
        await self.end_job(job, digest("e"), summary)

    async def job_like(self, prefix: str) -> str:
        """A Job that has not ended, once there is one."""

        async def running() -> list[str]:
            ended = {
                item["metadata"]["name"]
                for item in await self.api.items(JOBS)
                if item.get("status", {}).get("completionTime")
            }
            return [name for name in await self.api.names(JOBS) if name.startswith(prefix) and name not in ended]

        return (await until(running, bool))[0]

    async def bring_up_predictors(self) -> None:
        """KServe and the kubelet: a Deployment for every InferenceService, its pods Ready."""
        for service in await self.api.items(INFERENCE_SERVICES):
            name = service["metadata"]["name"]
            with contextlib.suppress(NotFound):
                await self.api.get(WORKLOADS, f"{name}-predictor")
                continue
            await self.api.create(_predictor(service))
            await self.start_pods(f"serving.kserve.io/inferenceservice={name}")
            await self.api.patch(
                INFERENCE_SERVICES, name, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "status"
            )

    async def start_pods(self, selector: str) -> None:
        """The kubelet: pods run and are Ready."""
        for pod in await until(lambda: self.pods(selector), bool):
            ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            await self.api.patch(PODS, pod, {"status": ready}, "status")

    async def pods(self, selector: str) -> list[str]:
        found = await self.api.client.list_all(PODS, self.api.namespace, selector)
        return [item["metadata"]["name"] for item in found.items]

    async def router_appears(self) -> None:
        """A router pod is Ready and its Service knows it."""
        labels = (await until(self.services, lambda found: "search-router" in found))["search-router"]
        await self.api.create(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "search-router-x",
                    "labels": {**labels, "kubernetes.io/service-name": "search-router"},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": self._port, "protocol": "TCP"}],
                "endpoints": [{"addresses": [own_address()], "conditions": {"ready": True}}],
            }
        )

    async def services(self) -> dict[str, dict[str, str]]:
        return {item["metadata"]["name"]: item["metadata"]["labels"] for item in await self.api.items(SERVICES)}

    async def config(self) -> RouterConfig | None:
        """What routers are told."""
        try:
            found = await self.api.get(CONFIG_MAPS, "search-router")
        except NotFound:
            return None
        return RouterConfig.model_validate_json(found["data"]["router.json"])


def _predictor(service: dict[str, Any]) -> dict[str, Any]:
    name, spec = service["metadata"]["name"], dict(service["spec"]["predictor"])
    replicas = spec.pop("minReplicas")
    del spec["maxReplicas"]
    owner = {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "name": name,
        "uid": service["metadata"]["uid"],
    }
    labels = {**service["metadata"]["labels"], "serving.kserve.io/inferenceservice": name, "app": f"isvc.{name}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{name}-predictor", "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": labels["app"]}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def own_address() -> str:
    """An address of this machine that an EndpointSlice accepts: not a loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


async def beside_a_router(api: Api) -> tuple[Cluster, web.AppRunner]:
    """With one router that serves whatever its ConfigMap says; the caller cleans the runner up."""

    async def state(_: web.Request) -> web.Response:
        config = await running.config()
        served = config.content_digest() if config else None
        return web.json_response({"configHash": served, "statistics": running.statistics, "later": "unknown"})

    app = web.Application()
    app.add_routes([web.get("/state", state)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    running = Cluster(api, runner.addresses[0][1])
    return running, runner


@pytest.fixture
async def cluster(api: Api) -> AsyncIterator[Cluster]:
    """A cluster with one router."""
    running, runner = await beside_a_router(api)
    yield running
    await runner.cleanup()


async def deployment(api: Api) -> dict[str, Any]:
    return await api.get(DEPLOYMENTS, "search")


async def ready(api: Api) -> dict[str, Any]:
    return await until(
        lambda: deployment(api), lambda found: condition(found, "Ready").get("reason") == "Serving", seconds=90
    )


async def prepared(cluster: Cluster) -> None:
    """From a verdict to predictors that run."""
    await cluster.end_job(await cluster.job_like("search-head-"), digest("d"), {"coverage": {"share": "0.998000"}})
    count = len(await cluster.api.names(INFERENCE_SERVICES))
    expected = max(1, count + bool(count))
    await until(lambda: cluster.api.names(INFERENCE_SERVICES), lambda found: len(found) >= expected)
    await cluster.bring_up_predictors()


async def served(cluster: Cluster) -> dict[str, Any]:
    await cluster.api.create(MODEL)
    await cluster.judge("llm")
    await cluster.api.create(SERVING)
    await prepared(cluster)
    await cluster.router_appears()
    return await ready(cluster.api)


async def blocked(api: Api) -> dict[str, Any]:
    found = await until(lambda: deployment(api), lambda seen: condition(seen, "Stalled").get("status") == "True")
    return condition(found, "Stalled")


async def test_without_a_verdict_there_is_no_predictor(api: Api, operator: OperatorProcess) -> None:
    await api.create(MODEL)
    await api.create(SERVING)

    assert (await blocked(api))["reason"] == "GateBlocked"
    assert await api.names(INFERENCE_SERVICES) == []


async def test_a_refusal_is_told_with_the_gates_own_words(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    await api.create(MODEL)
    await cluster.judge("llm", "Failed")
    await api.create(SERVING)

    found = await until(lambda: blocked(api), lambda seen: "MacroF1 is 0.4, the floor 0.5" in seen["message"])
    assert found["reason"] == "GateBlocked"


async def test_a_verdict_opens_the_gate(api: Api, operator: OperatorProcess, cluster: Cluster) -> None:
    await api.create(MODEL)
    await api.create(SERVING)
    await blocked(api)

    await cluster.judge("llm")

    assert (await cluster.job_like("search-head-")).startswith("search-head-")


async def test_from_the_verdict_to_callers_that_are_served(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    found = await served(cluster)

    assert condition(found, "Available")["status"] == "True"
    assert found["status"]["stable"] == (await api.names(REVISIONS))[0]


async def test_a_tier_is_judged_where_it_serves_once_it_does(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    live = evaluation("live")
    live["spec"] = {
        **{field: value for field, value in live["spec"].items() if field != "modelRef"},
        "deploymentRef": {"name": "search", "stratum": "tail"},
    }
    await api.create(live)
    await until(
        lambda: api.get(EVALS, "live-eval"), lambda found: condition(found, "Ready").get("reason") == "AwaitingTier"
    )
    await served(cluster)

    job = await cluster.job_like("live-eval-")

    config = json.loads((await api.get(CONFIG_MAPS, job))["data"]["config.json"])
    assert [config["servedAt"]["model"]] == await api.names(INFERENCE_SERVICES)
    judged = await until(lambda: api.get(EVALS, "live-eval"), lambda found: found["status"].get("subject"))
    assert (judged["status"]["subject"], "model" in judged["status"]) == ("search/tail", False)


async def test_traffic_is_measured_to_a_verdict_that_is_none_of_a_model(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    window = {"served": {"uri": "s3://logs/served"}, "firstDay": "2026-11-01", "lastDay": "2026-11-07"}
    gate = {"name": "floor", "metric": "ItemGoodRate", "min": "0.8"}
    spec = {"traffic": window, "workspace": {"uri": "pvc://lore/runs"}, "gates": [gate]}
    await api.create(lore("RelevanceEval", "live-eval", spec))
    job = await cluster.job_like("live-eval-")
    config = json.loads((await api.get(CONFIG_MAPS, job))["data"]["config.json"])
    told = {"requests": 9000, "sampled": 200, "rated": 50, "unreadable": 0, "raters": 2, "judgeAgreement": "0.930000"}
    summary = {
        "verdict": "Passed",
        "primary": {"name": "ItemGoodRate", "value": "0.83", "interval": "[0.80, 0.86]"},
        "gates": [{"name": "floor", "outcome": "Passed", "severity": "Required"}],
        "gateSetDigest": config["gateSetDigest"],
        "traffic": {**window, "served": "s3://logs/served", **told, "itemsBothRated": 400},
    }

    await cluster.end_job(job, digest("e"), summary)

    found = await until(
        lambda: api.get(EVALS, "live-eval"), lambda item: condition(item, "Ready").get("reason") == "Passed"
    )
    assert (found["status"]["subject"], "model" in found["status"]) == ("traffic 2026-11-01..2026-11-07", False)
    assert found["status"]["traffic"] == summary["traffic"]
    assert "judge and people agree on 0.930000 of 400 items" in condition(found, "Ready")["message"]


async def test_a_status_that_is_wiped_while_serving_moves_nothing(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    await served(cluster)
    versions = await api.versions()

    await api.patch(DEPLOYMENTS, "search", {"status": None}, "status")
    await ready(api)

    moved = {name for name, version in (await api.versions()).items() if versions.get(name) != version}
    assert moved == {"RelevanceDeployment/search"}


async def test_an_operator_killed_in_a_rollout_finishes_it(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    first = (await served(cluster))["status"]["stable"]
    await api.create(BETTER)
    await cluster.judge("better")
    tiers = [SERVING["spec"]["tiers"][0], {"stratum": "tail", "predictor": {"modelRef": {"name": "better"}}}]
    await api.patch(DEPLOYMENTS, "search", {"spec": {"tiers": tiers}})
    await cluster.job_like("search-head-")
    operator.kill()
    operator.start()

    await prepared(cluster)

    config = await until(cluster.config, lambda seen: seen is not None and seen.stable != first)
    assert config is not None
    await until(lambda: api.names(INFERENCE_SERVICES), lambda found: len(found) == 1)


async def test_a_candidate_waits_for_prometheus_and_one_that_disagrees_in_shadow_is_rolled_back_without_a_query(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    stable = (await served(cluster))["status"]["stable"]
    await api.create(BETTER)
    await cluster.judge("better")
    tiers = [SERVING["spec"]["tiers"][0], {"stratum": "tail", "predictor": {"modelRef": {"name": "better"}}}]
    unanswered = [{"name": "errors", "query": "errors", "max": "0"}]
    shadow = {"shadow": 5, "analysis": {"minSamples": 10, "minAgreementPercent": 90, "prometheus": unanswered}}
    await api.patch(DEPLOYMENTS, "search", {"spec": {"tiers": tiers, "rollout": {"steps": [shadow]}}})
    await prepared(cluster)
    config = await until(cluster.config, lambda seen: seen is not None and seen.shadowed() is not None)
    assert config is not None
    candidate = config.shadowed()
    assert candidate is not None
    assert (candidate.weights.tail, candidate.shadow_percent) == (0, 5)

    cluster.statistics = {candidate.revision: {"mirrored": 10, "comparedItems": 100, "agreeingItems": 95}}
    await api.patch(DEPLOYMENTS, "search", {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}})
    waits = await until(
        lambda: deployment(api), lambda found: condition(found, "Ready")["reason"] == "AnalysisInconclusive"
    )
    assert "errors: no Prometheus is configured" in condition(waits, "Ready")["message"]

    cluster.statistics = {candidate.revision: {"mirrored": 10, "comparedItems": 100, "agreeingItems": 80}}
    await api.patch(DEPLOYMENTS, "search", {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "soon"}}})

    stalled = (await blocked(api))["message"]
    assert "80.00 % of items got the stable one's label, minAgreementPercent 90" in stalled
    config = await until(cluster.config, lambda seen: seen is not None and len(seen.compositions) == 1)
    assert config is not None
    assert config.stable == stable


async def test_a_gateway_and_a_graph_come_before_the_routers_change_and_go(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    await served(cluster)
    pods = (await api.get(WORKLOADS, "search-router"))["metadata"]["resourceVersion"]
    gateway = {"parents": [{"name": "public"}], "hostnames": ["rank.example.com"]}

    await api.patch(DEPLOYMENTS, "search", {"spec": {"router": {"gateway": gateway, "inferenceGraph": {}}}})
    await until(lambda: deployment(api), lambda found: bool(condition(found, "RouteNotAccepted")))
    await accept_route(api)
    told = await until(lambda: deployment(api), lambda found: not condition(found, "RouteNotAccepted"))
    assert "not available" in condition(told, "GraphNotReady")["message"]
    assert condition(told, "Ready")["status"] == "True"

    changed = {"gateway": {"hostnames": ["other.example.com"]}, "inferenceGraph": {"timeout": "9s"}}
    await api.patch(DEPLOYMENTS, "search", {"spec": {"router": changed}})
    await until(
        lambda: api.get(HTTP_ROUTES, "search-router"), lambda found: found["spec"]["hostnames"] == ["other.example.com"]
    )
    await until(
        lambda: api.get(INFERENCE_GRAPHS, "search-graph"),
        lambda found: found["spec"]["routerTimeouts"] == {"serviceClient": 9},
    )
    await api.patch(DEPLOYMENTS, "search", {"spec": {"router": None}})
    for kind in (HTTP_ROUTES, INFERENCE_GRAPHS):
        await until(lambda kind=kind: api.names(kind), lambda names: names == [])
    assert (await api.get(WORKLOADS, "search-router"))["metadata"]["resourceVersion"] == pods


async def accept_route(api: Api) -> None:
    """What a Gateway's controller writes where its listener takes the route."""
    route = await api.get(HTTP_ROUTES, "search-router")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    met = {"status": "True", "reason": "Met", "message": "", "lastTransitionTime": now}
    generation = {"observedGeneration": route["metadata"]["generation"]}
    conditions = [{"type": kind, **met, **generation} for kind in ("Accepted", "ResolvedRefs")]
    parent = {"parentRef": {"name": "public"}, "controllerName": "example.com/gateway", "conditions": conditions}
    await api.patch(HTTP_ROUTES, "search-router", {"status": {"parents": [parent]}}, "status")


async def test_a_deleted_deployment_takes_its_backend_with_it(
    api: Api, operator: OperatorProcess, cluster: Cluster
) -> None:
    found = await served(cluster)

    await api.client.delete(DEPLOYMENTS, api.namespace, "search", uid=found["metadata"]["uid"])

    await until(lambda: api.names(INFERENCE_SERVICES), lambda names: names == [])
