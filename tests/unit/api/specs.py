"""One good spec of each kind, and edits of it: what every rule of the CRDs refuses.

An edit is (path, value): a dotted path into the object, numbers index lists; DELETE removes the field.
"""

import copy
from typing import Any, NamedTuple

D = "sha256:" + "d" * 64
E = "sha256:" + "e" * 64
DELETE = object()

TRAIN: dict[str, Any] = {
    "baseModel": {"uri": "s3://models/base", "digest": D, "secretRef": {"name": "store"}},
    "data": {"uri": "pvc://data/pairs"},
    "ruleSet": {"uri": "pvc://data/rules"},
    "workspace": {"uri": "pvc://lore/runs"},
    "runner": {"env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}], "resources": {"limits": {"cpu": 2, "memory": "4Gi"}}},
    "stages": [
        {"name": "sft", "sft": {}, "publish": {"as": "lore"}},
        {"name": "student", "distill": {"from": "sft", "base": {"uri": "pvc://data/minilm"}}, "publish": {"as": "student"}},
    ],
    "runPolicy": {"activeDeadline": "1h30m"},
}  # fmt: skip
MODEL: dict[str, Any] = {
    "uri": "s3://models/lore",
    "digest": D,
    "role": "Generative",
    "secretRef": {"name": "store"},
    "contract": {"layout": "ThinkFirst"},
    "lineage": {"trainJob": "demo", "inputs": [{"name": "data", "uri": "pvc://data/pairs", "digest": D}]},
}
EVAL: dict[str, Any] = {
    "modelRef": {"name": "lore"},
    "benchmark": {"uri": "pvc://data/bench", "digest": D, "subsets": ["general", "rules"]},
    "ruleSet": {"uri": "pvc://data/rules"},
    "workspace": {"uri": "pvc://lore/runs"},
    "champion": {"evalRef": {"name": "last"}},
    "runner": {"env": [{"name": "A", "value": "b"}]},
    "gates": [
        {"name": "floor", "metric": "Accuracy2", "subset": "general", "min": "0.75"},
        {"name": "regression", "metric": "F1", "label": "L3", "maxRegression": "0.02", "where": {"market": "eu"}},
    ],
}
DEPLOYMENT: dict[str, Any] = {
    "strata": {"uri": "pvc://lore/strata", "digest": D},
    "items": {"uri": "pvc://lore/items", "digest": D},
    "workspace": {"uri": "pvc://lore/runs"},
    "tiers": [
        {"stratum": "head", "cache": {"candidates": {"uri": "pvc://lore/candidates", "digest": D}}},
        {
            "stratum": "torso",
            "predictor": {"modelRef": {"name": "student"}, "replicas": {"min": 1, "max": 4}},
            "fallback": ["tail"],
        },
        {"stratum": "tail", "predictor": {"modelRef": {"name": "lore"}}},
    ],
    "gate": {"requirements": [{"name": "quality", "evalSelector": {"matchLabels": {"suite": "nightly"}}}]},
    "rollout": {"steps": [{"weight": 10, "for": "1h"}]},
}
GOOD = {
    "RelevanceTrainJob": TRAIN,
    "RelevanceModel": MODEL,
    "RelevanceEval": EVAL,
    "RelevanceDeployment": DEPLOYMENT,
}


def resource(kind: str, name: str = "demo", namespace: str = "default") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "lore-platform.io/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": copy.deepcopy(GOOD[kind]),
    }


class Case(NamedTuple):
    """An edit of the good object of `kind`; `message` is what the user reads, None where the edit is fine."""

    kind: str
    message: str | None
    edits: tuple[tuple[str, Any], ...]

    def build(self, name: str = "demo", namespace: str = "default") -> dict[str, Any]:
        found = resource(self.kind, name, namespace)
        for path, value in self.edits:
            edit(found, path, value if value is DELETE else copy.deepcopy(value))
        return found


def edit(found: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for step in parents:
        found = found[int(step)] if isinstance(found, list) else found.setdefault(step, {})
    key: Any = int(last) if isinstance(found, list) else last
    if value is DELETE:
        del found[key]
    else:
        found[key] = value


def _small(of: str) -> dict[str, Any]:
    return {"name": "small", "quantize": {"from": of}}


def case(kind: str, message: str | None, *edits: tuple[str, Any]) -> Case:
    return Case(kind, message, edits)


_STUDENT: dict[str, Any] = {"name": "student", "distill": {"base": {"uri": "pvc://data/minilm"}}}
_TWO_TOWER: dict[str, Any] = {
    "name": "student",
    "distill": {"student": "TwoTower", "base": {"uri": "pvc://data/minilm"}},
}
_TRUSTING: dict[str, Any] = {"marginWeight": "0.5", "weighTeacher": True, "calibrateTeacher": True}
_FULL = "quantize.from must name an earlier stage that makes a language model"
_WORKSPACE = "workspace is a place, not an artifact: it has no digest"
_IN_A_JOBSET = "with workload JobSet metadata.name begins with a letter"
_RESERVED = "LORE_ variables are the operator's"
_LORE = {"name": "LORE_REPORT", "value": "x"}
_LONG = "x" * 41
_TRACES: dict[str, Any] = {"name": "traces", "synthesize": {"teacher": {"url": "https://teacher/v1", "model": "large"}}}
_HOSTED = {"url": "https://judge/v1", "model": "judge-1", "secretRef": {"name": "judge-key"}}
_BY_ENDPOINT: tuple[tuple[str, Any], ...] = (("spec.modelRef", DELETE), ("spec.endpoint", _HOSTED))
_BY_TIER: tuple[tuple[str, Any], ...] = (
    ("spec.modelRef", DELETE),
    ("spec.deploymentRef", {"name": "search", "stratum": "tail"}),
)
_ONE_AFTER_ANOTHER = (("spec.tiers.2.fallback", ["torso"]), ("spec.rollout.surge", "PerTier"))
_ONE_SUBJECT = "give exactly one of modelRef, endpoint, deploymentRef, traffic"
_SERVED = {"served": {"uri": "s3://logs/served"}, "firstDay": "2026-11-01", "lastDay": "2026-11-07"}
_GOODRATE = {"name": "floor", "metric": "ItemGoodRate", "where": {"stratum": "tail"}, "min": "0.8"}
_BY_TRAFFIC: tuple[tuple[str, Any], ...] = (
    ("spec", {"traffic": _SERVED, "workspace": {"uri": "pvc://lore/runs"}, "gates": [_GOODRATE]}),
)
_RUNTIME = {"name": "kserve-vllmserver", "storageUri": "hf://team/lore:v4"}
_UNVERIFIED: tuple[tuple[str, Any], ...] = (
    ("spec.tiers.2.predictor.kserveRuntime", _RUNTIME),
    ("spec.gate.allowUnverified", True),
)
_UNPROVEN = {"name": "calibrated", "metric": "CalibrationError", "maxRegression": "0.02"}
_HANDED: dict[str, Any] = {"layout": "LabelFirst", "handOver": "0.7"}
_HANDED_OVER = "handOver goes with layout LabelFirst and without curriculumShare"
REFUSED = [
    case("RelevanceTrainJob", _HANDED_OVER, ("spec.stages.0.sft", {"handOver": "0.7"})),
    case("RelevanceTrainJob", _HANDED_OVER, ("spec.stages.0.sft", _HANDED | {"curriculumShare": "0.5"})),
    case(
        "RelevanceTrainJob",
        "give exactly one of synthesize, sft, align, distill, quantize",
        ("spec.stages.0.distill", {"base": {"uri": "s3://a"}}),
    ),
    case(
        "RelevanceTrainJob",
        "give exactly one of synthesize, sft, align, distill, quantize",
        ("spec.stages.0.sft", DELETE),
    ),
    *(
        case("RelevanceTrainJob", "go with a teacher", ("spec.stages.1.distill", _STUDENT["distill"] | {name: value}))
        for name, value in _TRUSTING.items()
    ),
    case(
        "RelevanceTrainJob",
        "showOverlap goes with student Classifier",
        ("spec.stages", [_TWO_TOWER | {"distill": _TWO_TOWER["distill"] | {"showOverlap": True}}]),
    ),
    case("RelevanceTrainJob", "distill.from must name an earlier stage", ("spec.stages.1.distill.from", "none")),
    case("RelevanceTrainJob", "distill.from must name an earlier stage", ("spec.stages.1.distill.from", "student")),
    case("RelevanceTrainJob", "two stages publish under the same name", ("spec.stages.1.publish.as", "lore")),
    case("RelevanceTrainJob", "needs ruleSet; give it or use neither", ("spec.ruleSet", DELETE)),
    case(
        "RelevanceTrainJob",
        "needs ruleSet; give it or use neither",
        ("spec.stages", [_TRACES]),
        ("spec.ruleSet", DELETE),
    ),
    case(
        "RelevanceTrainJob",
        "there is no model to publish",
        ("spec.stages", [_TRACES | {"publish": {"as": "lore"}}]),
    ),
    case(
        "RelevanceTrainJob",
        "distill.from must name an earlier stage that trains",
        ("spec.stages.0", _TRACES | {"name": "sft"}),
    ),
    case("RelevanceTrainJob", _FULL, ("spec.stages.1", _small("none"))),
    case("RelevanceTrainJob", _FULL, ("spec.stages", [_STUDENT, _small("student")])),
    case("RelevanceTrainJob", _FULL, ("spec.stages", [_TWO_TOWER, _small("student")])),
    case("RelevanceTrainJob", _FULL, ("spec.stages", [_small("sft"), {"name": "sft", "sft": {}}])),
    case(
        "RelevanceTrainJob",
        "distill.from must name an earlier stage that trains",
        (
            "spec.stages",
            [
                {"name": "sft", "sft": {}},
                _small("sft"),
                {"name": "s", "distill": {**_STUDENT["distill"], "from": "small"}},
            ],
        ),
    ),
    case("RelevanceTrainJob", _WORKSPACE, ("spec.workspace.digest", D)),
    case("RelevanceTrainJob", _RESERVED, ("spec.runner.env.0", _LORE)),
    case("RelevanceTrainJob", "metadata.name may have 52 characters", ("metadata.name", "x" * 53)),
    case("RelevanceTrainJob", "metadata.name may have 52 characters", ("metadata.name", "with.dot")),
    case("RelevanceTrainJob", "metadata.name and the name of each stage", ("metadata.name", "x" * 46)),
    case("RelevanceTrainJob", _IN_A_JOBSET, ("spec.workload", "JobSet"), ("metadata.name", "x" * 37)),
    case("RelevanceTrainJob", _IN_A_JOBSET, ("spec.workload", "JobSet"), ("metadata.name", "4-bit")),
    case("RelevanceModel", "metadata.name may have 63 characters", ("metadata.name", "x" * 64)),
    case("RelevanceEval", "give exactly one of min, max, maxRegression", ("spec.gates.0.max", "0.9")),
    case("RelevanceEval", "give exactly one of min, max, maxRegression", ("spec.gates.0.min", DELETE)),
    case("RelevanceEval", "label goes with F1, Precision, Recall and with no other", ("spec.gates.0.label", "L1")),
    case("RelevanceEval", "label goes with F1, Precision, Recall and with no other", ("spec.gates.1.label", DELETE)),
    case("RelevanceEval", "give exactly one of evalRef, evidence", ("spec.champion.evidence", {"uri": "s3://a"})),
    case("RelevanceEval", "a gate with maxRegression needs a champion", ("spec.champion", DELETE)),
    case("RelevanceEval", "maxRegression goes with Accuracy4", ("spec.gates.0", _UNPROVEN)),
    case("RelevanceEval", "a gate on Leakage needs trainingData", ("spec.gates.0.metric", "Leakage")),
    case("RelevanceEval", "needs generation.samples", ("spec.gates.0.metric", "PassAt1")),
    case("RelevanceEval", "a gate's subset must be one of benchmark.subsets", ("spec.gates.0.subset", "hard")),
    case("RelevanceEval", "it cannot satisfy a Required gate", ("spec.benchmark.ruleMode", "Oracle")),
    case("RelevanceEval", "ruleMode Retrieved needs ruleSet", ("spec.ruleSet", DELETE)),
    case("RelevanceEval", _ONE_SUBJECT, ("spec.modelRef", DELETE)),
    case("RelevanceEval", _ONE_SUBJECT, _BY_ENDPOINT[1]),
    case("RelevanceEval", _ONE_SUBJECT, *_BY_TIER, _BY_ENDPOINT[1]),
    case(
        "RelevanceEval", "servingProfile goes with modelRef", *_BY_TIER, ("spec.servingProfile", {"dtype": "bfloat16"})
    ),
    case("RelevanceEval", "signing goes with modelRef", *_BY_TIER, ("spec.signing", {"secretRef": {"name": "key"}})),
    case(
        "RelevanceEval", "signing goes with modelRef", *_BY_ENDPOINT, ("spec.signing", {"secretRef": {"name": "key"}})
    ),
    case(
        "RelevanceEval",
        "what an endpoint's model was trained on is not known",
        *_BY_ENDPOINT,
        ("spec.trainingData", {"uri": "s3://a"}),
    ),
    case(
        "RelevanceEval",
        "a reasoning model takes no seed",
        *_BY_ENDPOINT,
        ("spec.endpoint.reasoningModel", True),
        ("spec.generation", {"samples": 4}),
    ),
    case(
        "RelevanceEval", "needs generation.samples", ("spec.gates.0", {"name": "k", "metric": "PassAt1", "min": "0.5"})
    ),
    case("RelevanceEval", _ONE_SUBJECT, *_BY_TRAFFIC, _BY_ENDPOINT[1]),
    case("RelevanceEval", "traffic is judged as it was served, without benchmark", ("spec.benchmark", DELETE)),
    case(
        "RelevanceEval",
        "traffic is judged as it was served, without benchmark",
        *_BY_TRAFFIC,
        ("spec.benchmark", {"uri": "s3://a", "ruleMode": "None"}),
    ),
    case("RelevanceEval", "gates on traffic have the metrics", *_BY_TRAFFIC, ("spec.gates.0.metric", "ParseRate")),
    case("RelevanceEval", "gates on traffic have the metrics", ("spec.gates.0", _GOODRATE)),
    case(
        "RelevanceEval", "GoodRate is sliced by", *_BY_TRAFFIC, ("spec.gates.0.where", {"day": "2026-11-01", "x": "y"})
    ),
    case("RelevanceEval", "GoodRate is sliced by", *_BY_TRAFFIC, ("spec.gates.0.subset", "general")),
    case("RelevanceEval", "shards go with a benchmark", *_BY_TRAFFIC, ("spec.shards", 2)),
    case("RelevanceEval", "go with a benchmark, not with traffic", *_BY_TRAFFIC, ("spec.ruleSet", {"uri": "s3://a"})),
    case(
        "RelevanceEval",
        "lastDay must be firstDay or up to 91 days later",
        *_BY_TRAFFIC,
        ("spec.traffic.lastDay", "2026-10-31"),
    ),
    case(
        "RelevanceEval",
        "lastDay must be firstDay or up to 91 days later",
        *_BY_TRAFFIC,
        ("spec.traffic.lastDay", "2027-02-01"),
    ),
    case("RelevanceEval", "peopleSize must be at most sampleSize", *_BY_TRAFFIC, ("spec.traffic.sampleSize", 49)),
    case("RelevanceEval", "judge and items go together", *_BY_TRAFFIC, ("spec.traffic.judge", _HOSTED)),
    case("RelevanceEval", "judge and items go together", *_BY_TRAFFIC, ("spec.traffic.items", {"uri": "s3://a"})),
    case("RelevanceEval", "folders that grow: they have no digest", *_BY_TRAFFIC, ("spec.traffic.served.digest", D)),
    case(
        "RelevanceEval",
        "folders that grow: they have no digest",
        *_BY_TRAFFIC,
        ("spec.traffic.people", {"uri": "s3://a", "digest": D}),
    ),
    case("RelevanceEval", _WORKSPACE, ("spec.workspace.digest", D)),
    case("RelevanceEval", _RESERVED, ("spec.runner.env.0", _LORE)),
    case("RelevanceEval", "metadata.name may have 52 characters", ("metadata.name", "x" * 53)),
    case("RelevanceDeployment", "give exactly one of cache, predictor", ("spec.tiers.2.predictor", DELETE)),
    case(
        "RelevanceDeployment",
        "give exactly one of generation, candidates, store",
        ("spec.tiers.0.cache.candidates", DELETE),
    ),
    case(
        "RelevanceDeployment",
        "only head can be a cache",
        ("spec.tiers.0.stratum", "torso"),
        ("spec.tiers.1.stratum", "head"),
    ),
    case(
        "RelevanceDeployment",
        "a head store needs the tier fromTier",
        ("spec.tiers.0.cache", {"store": {"url": "redis://cache:6379/0"}, "fromTier": "torso", "onMiss": "tail"}),
        ("spec.tiers.1.stratum", "tail"),
    ),
    case("RelevanceDeployment", "give exactly one of weight, shadow", ("spec.rollout", {"steps": [{"for": "1m"}]})),
    case(
        "RelevanceDeployment",
        "strata goes with weight",
        ("spec.rollout", {"steps": [{"shadow": 5, "strata": ["tail"]}]}),
    ),
    case(
        "RelevanceDeployment",
        "minAgreementPercent and maxGradeDifference go with shadow",
        ("spec.rollout", {"steps": [{"weight": 5, "analysis": {"minAgreementPercent": 90}}]}),
    ),
    case(
        "RelevanceDeployment",
        "maxFallbackPercent goes with weight",
        ("spec.rollout", {"steps": [{"shadow": 5, "analysis": {"maxFallbackPercent": 9}}]}),
    ),
    case(
        "RelevanceDeployment",
        "give min, max or both",
        ("spec.rollout", {"steps": [{"weight": 5, "analysis": {"prometheus": [{"name": "up", "query": "up"}]}}]}),
    ),
    case(
        "RelevanceDeployment",
        "rollout.surge PerTier needs a fallback of every tier",
        ("spec.rollout.surge", "PerTier"),
    ),
    case(
        "RelevanceDeployment",
        "surge PerTier goes without keepFor",
        *_ONE_AFTER_ANOTHER,
        ("spec.rollout.keepFor", "1h"),
    ),
    case(
        "RelevanceDeployment",
        "surge PerTier goes without shadow",
        *_ONE_AFTER_ANOTHER,
        ("spec.rollout.steps", [{"shadow": 5}]),
    ),
    case("RelevanceDeployment", "fallback goes with predictor", ("spec.tiers.0.fallback", ["tail"])),
    case("RelevanceDeployment", "guard goes with predictor", ("spec.tiers.0.guard", {"maxQuestions": 4})),
    case("RelevanceDeployment", "a tier cannot fall back to itself", ("spec.tiers.1.fallback", ["torso"])),
    case(
        "RelevanceDeployment",
        "tiers must have one with stratum tail",
        ("spec.tiers", [{"stratum": "torso", "predictor": {"modelRef": {"name": "a"}}}]),
    ),
    case("RelevanceDeployment", "cache.onMiss and fallback must name tiers that exist", ("spec.tiers.1", DELETE)),
    case("RelevanceDeployment", "needs workspace, items and the tier fromTier", ("spec.items", DELETE)),
    case("RelevanceDeployment", "needs workspace, items and the tier fromTier", ("spec.workspace", DELETE)),
    case("RelevanceDeployment", "max must be at least min", ("spec.tiers.1.predictor.replicas.min", 5)),
    case("RelevanceDeployment", "requirements must not be empty; set mode: Disabled", ("spec.gate", {})),
    case(
        "RelevanceDeployment",
        "log is read as it is at each build",
        ("spec.strata.build", {"log": {"uri": "s3://a", "digest": D}}),
    ),
    case(
        "RelevanceDeployment",
        "strata.build needs workspace",
        ("spec.strata.build", {"log": {"uri": "s3://a"}}),
        ("spec.workspace", DELETE),
        ("spec.tiers.0.cache", {"generation": {"uri": "s3://a", "digest": D}}),
        ("spec.items", DELETE),
    ),
    case("RelevanceDeployment", _WORKSPACE, ("spec.workspace.digest", D)),
    *(
        case(kind, "hf:// and oci:// are only read", ("spec.workspace.uri", uri))
        for kind in ("RelevanceTrainJob", "RelevanceEval", "RelevanceDeployment")
        for uri in ("hf://org/runs", "oci://registry.example:5000/runs")
    ),
    case(
        "RelevanceModel",
        "deletionPolicy Delete needs a store that can be written",
        ("spec.uri", "hf://org/model@v1"),
        ("spec.deletionPolicy", "Delete"),
    ),
    case("RelevanceDeployment", _RESERVED, ("spec.runner.env", [_LORE])),
    case("RelevanceDeployment", _RESERVED, ("spec.router.runner.env", [_LORE])),
    case(
        "RelevanceDeployment",
        "inferenceGraph goes without tls and tokens",
        ("spec.router.inferenceGraph", {}),
        ("spec.router.tls", {"secretRef": {"name": "cert"}}),
    ),
    case(
        "RelevanceDeployment",
        "inferenceGraph goes without tls and tokens",
        ("spec.router.inferenceGraph", {"replicas": {"min": 2}}),
        ("spec.router.tokens", {"secretRef": {"name": "callers"}}),
    ),
    case("RelevanceDeployment", _RESERVED, ("spec.tiers.2.predictor.runner.env", [_LORE])),
    case("RelevanceDeployment", "metadata.name may have 40 characters", ("metadata.name", _LONG)),
    case("RelevanceDeployment", "no digest is verified where kserveRuntime loads the model", _UNVERIFIED[0]),
    case(
        "RelevanceDeployment",
        "no digest is verified where kserveRuntime loads the model",
        _UNVERIFIED[0],
        ("spec.gate.allowUnverified", False),
    ),
    case(
        "RelevanceDeployment",
        "servingProfile.image goes without kserveRuntime",
        *_UNVERIFIED,
        ("spec.tiers.2.predictor.servingProfile", {"image": "server:2"}),
    ),
    case(
        "RelevanceDeployment",
        "runner.podTemplate goes without kserveRuntime",
        *_UNVERIFIED,
        ("spec.tiers.2.predictor.runner", {"podTemplate": {"spec": {}}}),
    ),
]
"""Refused at creation by a CEL rule."""

_PATTERN = "should match"


def _doubled() -> dict[str, Any]:
    synthesize: dict[str, Any] = {**_TRACES["synthesize"], "capabilities": ["Rules", "Rules"]}
    return {"name": "t", "synthesize": synthesize}


MALFORMED = [
    case("RelevanceTrainJob", _PATTERN, ("spec.data.uri", "pvc://data/../etc")),
    case("RelevanceTrainJob", _PATTERN, ("spec.data.uri", "file:///etc/passwd")),
    case("RelevanceTrainJob", _PATTERN, ("spec.data.uri", "s3://a b")),
    case("RelevanceTrainJob", _PATTERN, ("spec.data.digest", "sha256:short")),
    case("RelevanceTrainJob", _PATTERN, ("spec.runPolicy.activeDeadline", "3 days")),
    case("RelevanceTrainJob", _PATTERN, ("spec.runner.resources.limits.memory", "much")),
    case("RelevanceTrainJob", "greater than or equal to 1", ("spec.nodes.count", 0)),
    case("RelevanceTrainJob", "Required value", ("spec.stages", [{"name": "t", "synthesize": {}}])),
    case("RelevanceTrainJob", "Duplicate value", ("spec.stages", [_doubled()])),
    case("RelevanceTrainJob", "at least 1 items", ("spec.stages", [])),
    case("RelevanceTrainJob", "Duplicate value", ("spec.stages.1.name", "sft"), ("spec.stages.1.distill.from", DELETE)),
    case(
        "RelevanceEval",
        "date-time",
        ("spec.override", {"by": "a", "reason": "of that release", "expires": "9", "evidenceDigest": D}),
    ),
    case("RelevanceEval", "Duplicate value", ("spec.gates.1.name", "floor")),
    case("RelevanceEval", _PATTERN, *_BY_ENDPOINT, ("spec.endpoint.url", "https://user:password@judge/v1")),
    case("RelevanceEval", "Unsupported value", *_BY_TIER, ("spec.deploymentRef.stratum", "head")),
    case("RelevanceEval", "Duplicate value", ("spec.benchmark.subsets", ["general", "general"])),
    case("RelevanceEval", "Unsupported value", ("spec.gates.0.metric", "Recall5")),
    case("RelevanceEval", "must be of type date", *_BY_TRAFFIC, ("spec.traffic.lastDay", "2026-11-31")),
    case("RelevanceEval", "Required value", *_BY_TRAFFIC, ("spec.traffic.firstDay", DELETE)),
    case("RelevanceModel", "Unsupported value", ("spec.role", "Oracle")),
    case("RelevanceModel", "Required value", ("spec.digest", DELETE)),
    case("RelevanceDeployment", "Required value", ("spec.strata.digest", DELETE)),
    case(
        "RelevanceDeployment",
        _PATTERN,
        *_UNVERIFIED,
        ("spec.tiers.2.predictor.kserveRuntime.storageUri", "https://user:password@models/lore"),
    ),
    case(
        "RelevanceDeployment", _PATTERN, *_UNVERIFIED, ("spec.tiers.2.predictor.kserveRuntime.storageUri", "/mnt/lore")
    ),
]
"""Refused at creation by the schema."""

ACCEPTED = [
    *(case(kind, None) for kind in GOOD),
    case("RelevanceModel", None, ("spec.deletionPolicy", "Delete")),
    case("RelevanceModel", None, ("spec.uri", "hf://org/model@v1")),
    case("RelevanceModel", None, ("spec.uri", f"oci://registry.example:5000/team/model@{D}")),
    case("RelevanceDeployment", None, ("spec.router.inferenceGraph", {"replicas": {"min": 2}, "timeout": "5s"})),
    case(
        "RelevanceDeployment",
        None,
        ("spec.runner", {"env": [{"name": "A", "value": "b"}]}),
        ("spec.rollout.steps.0.analysis", {"prometheus": [{"name": "up", "query": "up", "min": "1", "max": "2"}]}),
    ),
    case("RelevanceTrainJob", None, ("spec.stages.0.publish.deletionPolicy", "Delete")),
    case("RelevanceTrainJob", None, ("spec.stages.1.distill.from", DELETE)),
    case("RelevanceTrainJob", None, ("spec.stages.1.publish", DELETE)),
    case("RelevanceTrainJob", None, ("spec.stages.1", _small("sft") | {"publish": {"as": "lore-int8"}})),
    case("RelevanceTrainJob", None, ("spec.stages.1.distill.student", "Causal")),
    case("RelevanceTrainJob", None, ("spec.stages.1.distill.student", "TwoTower")),
    case("RelevanceModel", None, ("spec.role", "TwoTower")),
    case("RelevanceTrainJob", None, ("spec.stages.1.distill", _STUDENT["distill"] | {"from": "sft"} | _TRUSTING)),
    case("RelevanceTrainJob", None, ("spec.stages.1.distill", _STUDENT["distill"] | {"showOverlap": True})),
    case("RelevanceTrainJob", None, ("spec.stages.0.sft.passAtK", {"samples": 16})),
    case("RelevanceTrainJob", None, ("spec.stages", [_TRACES, {"name": "sft", "sft": {}}])),
    case(
        "RelevanceTrainJob",
        None,
        ("spec.stages", [{"name": "t", "synthesize": _TRACES["synthesize"] | {"capabilities": ["Knowledge"]}}]),
        ("spec.ruleSet", DELETE),
    ),
    case("RelevanceTrainJob", None, ("spec.stages.0.sft", _HANDED)),
    case("RelevanceTrainJob", None, ("spec.ruleSet", DELETE), ("spec.stages.0.sft", {"ruleMode": "None"})),
    case("RelevanceEval", None, ("spec.ruleSet", DELETE), ("spec.benchmark.ruleMode", "None")),
    case("RelevanceTrainJob", None, ("metadata.name", "x" * 45)),
    case("RelevanceTrainJob", None, ("spec.data.uri", "pvc://data/..hidden/a.b/...")),
    case("RelevanceTrainJob", None, ("spec.runner.podTemplate", {"spec": {"anything": [{"goes": 1}]}})),
    case("RelevanceEval", None, ("spec.champion", {"evidence": {"uri": "s3://a"}})),
    case("RelevanceEval", None, ("spec.champion", DELETE), ("spec.gates.1", DELETE)),
    case(
        "RelevanceEval",
        None,
        ("spec.benchmark.ruleMode", "Oracle"),
        ("spec.gates.0.severity", "Advisory"),
        ("spec.gates.1.severity", "Advisory"),
    ),
    case("RelevanceEval", None, ("metadata.name", "x" * 52)),
    case("RelevanceEval", None, *_BY_ENDPOINT),
    case("RelevanceEval", None, *_BY_ENDPOINT, ("spec.generation", {"samples": 8})),
    case("RelevanceEval", None, *_BY_TIER),
    case("RelevanceEval", None, *_BY_TRAFFIC),
    case(
        "RelevanceEval",
        None,
        *_BY_TRAFFIC,
        ("spec.traffic.lastDay", "2027-01-31"),
        ("spec.traffic.people", {"uri": "s3://logs/people"}),
        ("spec.traffic.items", {"uri": "s3://a", "digest": D}),
        ("spec.traffic.judge", _HOSTED),
        ("spec.gates.0", {"name": "floor", "metric": "QueryGoodRate", "min": "0.8"}),
    ),
    case("RelevanceDeployment", None, ("spec.gate", {"mode": "Disabled"})),
    case("RelevanceDeployment", None, ("spec.gate", {"mode": "Disabled"}), _UNVERIFIED[0]),
    case("RelevanceDeployment", None, *_UNVERIFIED),
    case(
        "RelevanceDeployment",
        None,
        *_UNVERIFIED,
        ("spec.tiers.2.predictor.servingProfile", {"dtype": "bfloat16"}),
        ("spec.tiers.2.predictor.kserveRuntime.storageUri", "oci://registry/lore@sha256:0123"),
    ),
    case("RelevanceDeployment", None, *_ONE_AFTER_ANOTHER, ("spec.rollout.keepFor", "0m")),
    case("RelevanceDeployment", None, ("spec.router.inferenceGraph", {"replicas": {"min": 2}})),
    case(
        "RelevanceDeployment",
        None,
        ("spec.tiers.0.cache", {"generation": {"uri": "s3://a", "digest": D}}),
        ("spec.items", DELETE),
        ("spec.workspace", DELETE),
    ),
    case("RelevanceDeployment", None, ("spec.tiers.1", DELETE), ("spec.tiers.0.cache.onMiss", "tail")),
    case("RelevanceDeployment", None, ("metadata.name", "x" * 40)),
    case("RelevanceModel", None, ("spec.lineage", DELETE), ("spec.contract", DELETE), ("spec.secretRef", DELETE)),
]

_FROZEN = "is immutable: create a new RelevanceModel"
FROZEN = [
    case("RelevanceModel", f"uri {_FROZEN}", ("spec.uri", "s3://other")),
    case("RelevanceModel", f"digest {_FROZEN}", ("spec.digest", E)),
    case("RelevanceModel", f"role {_FROZEN}", ("spec.role", "Classifier")),
    case("RelevanceModel", f"secretRef {_FROZEN}", ("spec.secretRef.name", "other")),
    case("RelevanceModel", f"secretRef {_FROZEN}", ("spec.secretRef", DELETE)),
    case("RelevanceModel", f"contract {_FROZEN}", ("spec.contract.layout", "LabelFirst")),
    case("RelevanceModel", f"lineage {_FROZEN}", ("spec.lineage.trainJob", "other")),
    case("RelevanceModel", f"deletionPolicy {_FROZEN}", ("spec.deletionPolicy", "Delete")),
]
"""Refused on an existing object."""

GROWN = [
    case("RelevanceModel", None, ("metadata.labels", {"a": "b"})),
]
"""Accepted on an existing object."""


def case_name(found: Case) -> str:
    return "-".join((found.kind, *(path for path, _ in found.edits)))
