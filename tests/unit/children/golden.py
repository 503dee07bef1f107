"""What the builders write for one rich spec of each kind. `python -m unit.children.golden` (in tests/) writes the files anew."""

from pathlib import Path
from typing import Any

import yaml

from lore_core.jobs import ServingProfile
from lore_operator.api import parse_deployment, parse_eval, parse_model, parse_train_job
from lore_operator.api.v1alpha1.common import ArtifactRef, LocalReference
from lore_operator.children import gateway_route as gateway_routes
from lore_operator.children import inference_graph as graphs
from lore_operator.children import router
from lore_operator.children.backend import backend_of
from lore_operator.children.disruption import predictor_budget
from lore_operator.children.eval_job import Resolved, Served, Step, eval_config, eval_objects
from lore_operator.children.head_job import head_config, head_inputs, head_objects
from lore_operator.children.inference_service import inference_service
from lore_operator.children.labels import ATTEMPT, RUN, STAGE, owner_labels
from lore_operator.children.names import Attempt, eval_base, head_base, strata_base, train_base
from lore_operator.children.report_access import report_access
from lore_operator.children.settings import Images, Settings
from lore_operator.children.strata_job import PURPOSE, strata_config, strata_objects
from lore_operator.children.train_config import stage_config, stage_inputs
from lore_operator.children.train_job import train_objects

FOLDER = Path(__file__).parent / "golden"
SETTINGS = Settings(
    Images("trainer:1", "server:1", "router:1"), "1.0", {"HTTPS_PROXY": "http://proxy:3128"}, ("registry",)
)
D = "sha256:" + "d" * 64


def resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "uid": f"uid-of-{name}"}
    return {"apiVersion": "lore-platform.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


TRAIN = resource(
    "RelevanceTrainJob",
    "demo",
    {
        "baseModel": {"uri": "s3://models/base", "digest": D, "secretRef": {"name": "store"}},
        "data": {"uri": "pvc://datasets/pairs", "digest": D},
        "ruleSet": {"uri": "pvc://lore/rules", "digest": D},
        "workspace": {"uri": "pvc://lore/runs"},
        "nodes": {"count": 2, "gpusPerNode": 8},
        "deepspeed": {"zeroStage": 3, "dtype": "bfloat16"},
        "runner": {
            "queueName": "gpu",
            "sharedMemory": "16Gi",
            "nodeSelector": {"gpu": "h200"},
            "imagePullSecrets": [{"name": "team-registry"}],
            "env": [{"name": "NCCL_DEBUG", "value": "INFO"}],
            "resources": {"requests": {"cpu": 4, "memory": "64Gi"}, "limits": {"memory": "64Gi"}},
            "podTemplate": {
                "metadata": {"labels": {"team": "search"}},
                "spec": {
                    "priorityClassName": "training",
                    "tolerations": [{"key": "gpu", "operator": "Exists"}],
                    "volumes": [{"name": "certs", "configMap": {"name": "company-ca"}}],
                    "containers": [
                        {"name": "lore", "volumeMounts": [{"name": "certs", "mountPath": "/etc/company"}]},
                        {"name": "agent", "image": "agent:1"},
                    ],
                },
            },
        },
        "stages": [
            {"name": "sft", "sft": {"selection": {"patience": 3}, "lora": {"rank": 16}}},
            {"name": "student", "distill": {
                "from": "sft", "base": {"uri": "pvc://datasets/minilm"}, "showOverlap": True,
            }},
            {"name": "traces", "synthesize": {
                "teacher": {"url": "https://teacher.team/v1", "model": "large", "secretRef": {"name": "teacher-key"}},
                "tokenBudget": 5000000,
            }},
            {"name": "aligned", "align": {"preset": "TaoSR1", "reward": {"length": "0"}, "passAtK": {"samples": 16}}},
            {"name": "small", "quantize": {"from": "sft"}},
        ],
    },
)  # fmt: skip

EVAL = resource(
    "RelevanceEval",
    "nightly",
    {
        "modelRef": {"name": "lore"},
        "benchmark": {"uri": "pvc://datasets/bench", "digest": D, "subsets": ["general", "rules"]},
        "ruleSet": {"uri": "pvc://datasets/rules", "digest": D},
        "workspace": {"uri": "s3://runs", "secretRef": {"name": "store"}},
        "servingProfile": {"image": "server@sha256:1", "dtype": "bfloat16"},
        "champion": {"evalRef": {"name": "last"}},
        "gates": [{"name": "floor", "metric": "Accuracy2", "min": "0.75"}],
        "runner": {"serviceAccountName": "evaluator"},
    },
)

DEPLOYMENT = resource(
    "RelevanceDeployment",
    "search",
    {
        "strata": {"uri": "pvc://lore/strata", "digest": D},
        "items": {"uri": "pvc://lore/items", "digest": D},
        "workspace": {"uri": "pvc://lore/runs"},
        "tiers": [
            {"stratum": "head", "cache": {"candidates": {"uri": "pvc://lore/candidates", "digest": D}, "onMiss": "tail"}},
            {"stratum": "tail", "predictor": {"modelRef": {"name": "lore", "digest": D}}},
        ],
        "gate": {"mode": "Disabled"},
    },
)  # fmt: skip


def labels(owner: dict[str, Any], stage: str) -> dict[str, str]:
    own = owner_labels(owner["kind"], owner["metadata"]["name"])
    return {**own, STAGE: stage, ATTEMPT: "1", RUN: "cafe0000"}


def train(stage_index: int, workload: str = "Job", **changes: Any) -> list[dict[str, Any]]:
    job = parse_train_job({**TRAIN, "spec": {**TRAIN["spec"], "workload": workload, **changes}})
    stage = job.spec.stages[stage_index]
    made = {"sft": "sft", "traces": "pairs"}
    results = {name: ArtifactRef(uri=f"pvc://lore/runs/{folder}", digest=D) for name, folder in made.items()}
    config = stage_config(job, stage, results, "run", SETTINGS)
    inputs = tuple(ref for ref in stage_inputs(job, stage, results).values() if ref)
    attempt = Attempt(train_base("demo", stage.name), 1)
    return train_objects(TRAIN, job, stage, attempt, labels(TRAIN, stage.name), config, inputs, SETTINGS)


def evaluation(shards: int = 1, step: Step = "evaluate") -> list[dict[str, Any]]:
    evaluation = parse_eval({**EVAL, "spec": {**EVAL["spec"], "shards": shards}})
    store = LocalReference(name="old-store")
    resolved = Resolved(
        ArtifactRef(uri="pvc://lore/model", digest=D), "last", ArtifactRef(uri="s3://old/e", digest=D, secret_ref=store)
    )
    config = eval_config(evaluation, resolved, "run", SETTINGS)
    attempt = Attempt(eval_base("nightly"), 1)
    access = report_access(EVAL, evaluation.spec.runner, [attempt.report], SETTINGS)
    return access + eval_objects(EVAL, evaluation, attempt, labels(EVAL, "eval"), config, resolved, SETTINGS, step)


def evaluation_of(changes: dict[str, Any], served: Served | None = None) -> list[dict[str, Any]]:
    """Of an endpoint or a served tier, in place of a model of its own."""
    kept = {
        name: value for name, value in EVAL["spec"].items() if name not in ("modelRef", "servingProfile", "champion")
    }
    stored = {**EVAL, "spec": {**kept, **changes}}
    evaluation = parse_eval(stored)
    resolved = Resolved(ArtifactRef(uri="pvc://lore/model", digest=D) if served else None, served=served)
    config = eval_config(evaluation, resolved, "run", SETTINGS)
    attempt = Attempt(eval_base("nightly"), 1)
    return eval_objects(stored, evaluation, attempt, labels(EVAL, "eval"), config, resolved, SETTINGS)


HOSTED = {"url": "https://judge.example/v1", "model": "judge-1", "secretRef": {"name": "judge-key"}}
SERVED = Served(
    deployment="search",
    stratum="tail",
    backend="lore-b-0123456789",
    url="http://lore-b-0123456789-predictor.team.svc.cluster.local",
    model="lore",
    profile=ServingProfile(image="server:1"),
)


TRAFFIC = {
    "traffic": {
        "served": {"uri": "s3://logs/served", "secretRef": {"name": "logs"}},
        "firstDay": "2026-11-01",
        "lastDay": "2026-11-07",
        "people": {"uri": "pvc://ratings/people"},
        "items": {"uri": "pvc://lore/items", "digest": D},
        "judge": HOSTED,
    },
    "workspace": {"uri": "s3://runs", "secretRef": {"name": "store"}},
    "gates": [{"name": "tail", "metric": "ItemGoodRate", "where": {"stratum": "tail"}, "min": "0.8"}],
}


def traffic() -> list[dict[str, Any]]:
    stored = {**EVAL, "spec": TRAFFIC}
    evaluation, resolved = parse_eval(stored), Resolved(None)
    config = eval_config(evaluation, resolved, "run", SETTINGS)
    attempt = Attempt(eval_base("nightly"), 1)
    return eval_objects(stored, evaluation, attempt, labels(EVAL, "eval"), config, resolved, SETTINGS)


def head() -> list[dict[str, Any]]:
    deployment = parse_deployment(DEPLOYMENT)
    predictor = deployment.spec.tiers[1].predictor
    assert predictor is not None
    model = ArtifactRef(uri="pvc://lore/model", digest=D)
    config = head_config(deployment, model, predictor.serving_profile.resolved(SETTINGS.images.server))
    inputs = tuple(ref for ref in head_inputs(deployment, model).values() if ref)
    attempt = Attempt(head_base("search", config.input_key), 1)
    access = report_access(DEPLOYMENT, deployment.spec.runner, [attempt.report], SETTINGS)
    return access + head_objects(DEPLOYMENT, deployment, attempt, labels(DEPLOYMENT, "head"), config, inputs, SETTINGS)


def strata() -> list[dict[str, Any]]:
    build = {
        "log": {"uri": "s3://logs/queries", "secretRef": {"name": "logs"}},
        "every": "24h",
        "recipe": {
            "columns": {"date": "day"},
            "windowDays": 28,
            "halfLifeDays": "14",
            "trend": {"factor": "2.5"},
            "pins": [{"query": "gift card", "stratum": "head"}],
        },
        "runner": {"resources": {"limits": {"memory": "2Gi"}}},
    }
    found = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "strata": {**DEPLOYMENT["spec"]["strata"], "build": build}}}
    deployment = parse_deployment(found)
    live = ArtifactRef(uri="pvc://lore/strata", digest=D)
    config = strata_config(deployment, live, "uid-of-search/strata-1")
    attempt = Attempt(strata_base("search"), 1)
    access = report_access(found, deployment.spec.runner, [attempt.report], SETTINGS, PURPOSE)
    return access + strata_objects(found, deployment, attempt, labels(found, "strata"), config, live, SETTINGS)


RUNTIME = {"name": "kserve-vllmserver", "storageUri": "s3://models/lore"}


def backend(role: str = "Generative", **predictor_changes: Any) -> list[dict[str, Any]]:
    tiers = [{"stratum": "tail", "predictor": {"modelRef": {"name": "lore", "digest": D}, **predictor_changes}}]
    deployment = parse_deployment({**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "tiers": tiers}})
    predictor = deployment.spec.tiers[0].predictor
    assert predictor is not None
    spec = {"uri": "s3://models/lore", "digest": D, "secretRef": {"name": "store"}, "role": role}
    model = parse_model(resource("RelevanceModel", "lore", spec))
    service = inference_service(DEPLOYMENT, backend_of(predictor, model, SETTINGS.images.server), predictor, SETTINGS)
    stored = {**service, "metadata": {**service["metadata"], "uid": "uid-of-the-service"}}
    return [service, predictor_budget(stored)]


def router_objects(**changes: Any) -> list[dict[str, Any]]:
    stored = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "router": changes}}
    deployment = parse_deployment(stored)
    used = [
        ArtifactRef(uri="pvc://lore/strata", digest=D),
        ArtifactRef(uri="s3://models/lore", digest=D, secret_ref=LocalReference(name="store")),
    ]
    return [
        *router.access(DEPLOYMENT),
        router.service(DEPLOYMENT, deployment.spec.router),
        router.disruption_budget(DEPLOYMENT),
        router.workload(DEPLOYMENT, deployment, router.Needs(tuple(used)), SETTINGS),
    ]


def entrances() -> list[dict[str, Any]]:
    gateway = {
        "parents": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["rank.example.com"],
    }
    stored = {
        **DEPLOYMENT,
        "spec": {**DEPLOYMENT["spec"], "router": {"gateway": gateway, "inferenceGraph": {"replicas": {"max": 3}}}},
    }
    wanted = parse_deployment(stored).spec.router
    assert wanted.gateway is not None
    assert wanted.inference_graph is not None
    return [
        gateway_routes.gateway_route(DEPLOYMENT, wanted, wanted.gateway),
        graphs.inference_graph(DEPLOYMENT, wanted, wanted.inference_graph),
    ]


GOLDEN = {
    "train-sft.yaml": lambda: train(0),
    "train-student.yaml": lambda: train(1),
    "train-traces.yaml": lambda: train(2),
    "train-aligned.yaml": lambda: train(3),
    "train-quantized.yaml": lambda: train(4),
    "train-jobset.yaml": lambda: train(1, "JobSet"),
    "eval.yaml": evaluation,
    "eval-shards.yaml": lambda: evaluation(4, "shards"),
    "eval-endpoint.yaml": lambda: evaluation_of({"endpoint": HOSTED}),
    "eval-tier.yaml": lambda: evaluation_of({"deploymentRef": {"name": "search", "stratum": "tail"}}, SERVED),
    "eval-traffic.yaml": traffic,
    "head.yaml": head,
    "strata.yaml": strata,
    "backend.yaml": backend,
    "backend-two-tower.yaml": lambda: backend("TwoTower"),
    "backend-unverified.yaml": lambda: backend(kserveRuntime=RUNTIME),
    "router.yaml": router_objects,
    "entrances.yaml": entrances,
}


class Plain(yaml.SafeDumper):
    """No anchors; texts of several lines stay readable."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Plain.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def render(name: str) -> str:
    return str(yaml.dump_all(GOLDEN[name](), Dumper=Plain, sort_keys=False, width=120))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file in GOLDEN:
        (FOLDER / file).write_text(render(file), encoding="utf-8")
