"""RelevanceEval: one model on one benchmark, or what was served, under a set of gates; its verdict is bound to digests."""

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from lore_core import jobs
from lore_core.jobs.config import Name, RuleMode
from lore_core.jobs.evaluation import (
    GOODRATE_METRICS,
    GOODRATE_SLICES,
    LABEL_METRICS,
    REGRESSION_METRICS,
    SAMPLED_METRICS,
)
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    ArtifactRef,
    Digest,
    Duration,
    LocalReference,
    Resource,
    Runner,
    RunPolicy,
    ServingProfile,
    Timestamp,
    Token,
    Workspace,
)
from lore_operator.api.v1alpha1.eval_status import EvalStatus
from lore_operator.api.v1alpha1.schema_hints import (
    Rule,
    cel,
    exactly_one,
    list_map,
    list_set,
    short_name,
)
from lore_operator.api.v1alpha1.subject import JudgedEndpoint, ModelReference, TierReference, Traffic

MAX_NAME = 52
"""`NAME-eval-aNNN` must fit the 63 characters of a label value."""


class Gate(jobs.Gate):
    """One condition on one metric over one slice; exactly one of min, max and maxRegression."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            exactly_one("min", "max", "maxRegression"),
            Rule(
                f"has(self.label) == (self.metric in {list(LABEL_METRICS)})",
                f"label goes with {', '.join(LABEL_METRICS)} and with no other metric",
            ),
            Rule(
                f"!has(self.maxRegression) || self.metric in {list(REGRESSION_METRICS)}",
                f"maxRegression goes with {', '.join(REGRESSION_METRICS)}; give other metrics a min or max",
            ),
            Rule(
                f"!(self.metric in {list(GOODRATE_METRICS)}) || (!has(self.subset) && (!has(self.where) || "
                f"size(self.where) == {' + '.join(f'({name!r} in self.where ? 1 : 0)' for name in GOODRATE_SLICES)}))",
                "GoodRate is sliced by where.day and where.stratum alone",
            ),
        )
    )


class Generation(jobs.Generation):
    """Answers are generated whole; `samples` further ones are asked for pass@k."""


class Benchmark(ArtifactRef):
    """A benchmark, which of its subsets, and how rules are shown."""

    subsets: Annotated[tuple[Name, ...], *list_set(32, min_items=1)] = ("general",)
    """Subsets to score."""
    rule_mode: RuleMode = RuleMode.RETRIEVED
    """None, Retrieved, or Oracle: the record's own rules, which may contain gold."""


class EvalReference(ApiModel):
    """A RelevanceEval of the same namespace."""

    name: Name
    """Its name."""


class Champion(ApiModel):
    """What the candidate is compared with, pair by pair; exactly one of evalRef and evidence."""

    model_config = ConfigDict(json_schema_extra=cel(exactly_one("evalRef", "evidence")))

    eval_ref: EvalReference | None = None
    """Another evaluation on the same benchmark."""
    evidence: ArtifactRef | None = None
    """Evidence artifact of an earlier evaluation."""

    @model_validator(mode="after")
    def _one_source(self) -> "Champion":
        if (self.eval_ref is None) == (self.evidence is None):
            raise ValueError("champion: give exactly one of evalRef, evidence")
        return self


class Signing(ApiModel):
    """The verdict is signed, so that another cluster's operator can verify it."""

    secret_ref: LocalReference
    """Secret with the key `signing.pem`, an Ed25519 private key."""
    valid_for: Duration = "2160h"
    """How long the signed verdict may be relied on."""


class Override(ApiModel):
    """A person lets a verdict pass that is no pass. It is about one piece of evidence and ends by itself."""

    by: str = Field(min_length=1, max_length=256)
    """Who answers for it."""
    reason: str = Field(min_length=10, max_length=1024)
    """Why."""
    expires: Timestamp
    """Until when it holds."""
    evidence_digest: Digest
    """Evidence that it is about, as status.evidence names it; another run needs another override."""


class EvalRunPolicy(RunPolicy):
    """Attempts, time limits and what is kept afterwards."""

    max_restarts: int = Field(default=1, ge=0, le=100)
    """Further attempts after the first one failed. A verdict is never tried again."""


_CHAMPION_THERE = Rule(
    "has(self.champion) || self.gates.all(g, !has(g.maxRegression))", "a gate with maxRegression needs a champion"
)
_SUBSETS_SCORED = Rule(
    "self.gates.all(g, !has(g.subset) || (has(self.benchmark) && g.subset in self.benchmark.subsets))",
    "a gate's subset must be one of benchmark.subsets",
)
_LEAKS_CHECKED = Rule(
    "has(self.trainingData) || self.gates.all(g, g.metric != 'Leakage')", "a gate on Leakage needs trainingData"
)
_SAMPLED = Rule(
    f"(has(self.generation) && has(self.generation.samples) && self.generation.samples > 0) || "
    f"self.gates.all(g, !(g.metric in {list(SAMPLED_METRICS)}))",
    f"a gate on {', '.join(SAMPLED_METRICS)} needs generation.samples",
)
_NO_ORACLE = Rule(
    "!has(self.benchmark) || self.benchmark.ruleMode != 'Oracle' || self.gates.all(g, g.severity == 'Advisory')",
    "ruleMode Oracle may show gold labels: it cannot satisfy a Required gate",
)

_RULES_THERE = Rule(
    "has(self.ruleSet) || !has(self.benchmark) || self.benchmark.ruleMode != 'Retrieved'",
    "ruleMode Retrieved needs ruleSet; give it or use ruleMode None",
)


_SUBJECTS = ("modelRef", "endpoint", "deploymentRef", "traffic")
_ONE_SUBJECT = exactly_one(*_SUBJECTS)
_OF_A_BENCHMARK = ("ruleSet", "trainingData", "generation", "champion")
_OF_TRAFFIC = (
    Rule(
        "has(self.traffic) != has(self.benchmark)",
        "traffic is judged as it was served, without benchmark; all else needs one",
    ),
    Rule(
        f"self.gates.all(g, has(self.traffic) == (g.metric in {list(GOODRATE_METRICS)}))",
        f"gates on traffic have the metrics {', '.join(GOODRATE_METRICS)}, and no other gate has",
    ),
    Rule(
        f"!has(self.traffic) || ({' && '.join(f'!has(self.{name})' for name in _OF_A_BENCHMARK)} && self.shards == 1)",
        f"{', '.join(_OF_A_BENCHMARK)} and shards go with a benchmark, not with traffic",
    ),
)
_NO_PROFILE = "".join(
    f" && (!has(self.servingProfile.{name}) || self.servingProfile.{name} == {value!r})"
    for name, value in ServingProfile().model_dump(by_alias=True, exclude_none=True).items()
)
"""The API server fills in defaults, so a profile that nobody gave is there too."""
_OF_A_MODEL = (
    Rule(
        f"has(self.modelRef) || !has(self.servingProfile) || (!has(self.servingProfile.image){_NO_PROFILE})",
        "servingProfile goes with modelRef: what serves has its own",
    ),
    Rule("has(self.modelRef) || !has(self.signing)", "signing goes with modelRef: no other verdict lets a model serve"),
    Rule(
        "!has(self.endpoint) || !has(self.trainingData)",
        "trainingData: what an endpoint's model was trained on is not known",
    ),
    Rule(
        "!has(self.endpoint) || !has(self.endpoint.reasoningModel) || !self.endpoint.reasoningModel || "
        "!has(self.generation) || !has(self.generation.samples) || self.generation.samples == 0",
        "generation.samples: a reasoning model takes no seed, its samples could not be told apart",
    ),
)


class EvalSpec(ApiModel):
    """What is judged, on what, and when it passes."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            _ONE_SUBJECT,
            _CHAMPION_THERE,
            _SUBSETS_SCORED,
            _LEAKS_CHECKED,
            _SAMPLED,
            _NO_ORACLE,
            _RULES_THERE,
            *_OF_TRAFFIC,
            *_OF_A_MODEL,
        )
    )

    model_ref: ModelReference | None = None
    """Model to judge, served in the evaluation's own pod. Only such a verdict lets a model serve."""
    endpoint: JudgedEndpoint | None = None
    """Or a model behind an OpenAI-compatible endpoint, by answers it generates."""
    deployment_ref: TierReference | None = None
    """Or a tier of a deployment, asked where it serves."""
    traffic: Traffic | None = None
    """Or what was served: GoodRate, without a benchmark."""
    serving_profile: ServingProfile = ServingProfile()
    """How it is served; the verdict holds for this profile only."""
    benchmark: Benchmark | None = None
    """What it is judged on; traffic has none."""
    rule_set: ArtifactRef | None = None
    """Rules shown in the prompt."""
    training_data: ArtifactRef | None = None
    """Pairs the model was trained on. With them metric Leakage is the share of pairs whose query was seen in training."""
    generation: Generation | None = None
    """The generated-answer protocol. Without it the four label tokens are scored, as a tier serves them."""
    gates: Annotated[tuple[Gate, ...], *list_map("name", 64, min_items=1)]
    """Conditions; all Required ones must hold."""
    champion: Champion | None = None
    """What regressions are measured against."""
    workspace: Workspace
    """Where the evidence is written."""
    shards: int = Field(default=1, ge=1, le=256)
    """Pods that score side by side; with more than one a further pod puts their answers together and judges them."""
    signing: Signing | None = None
    """Sign the verdict for other clusters."""
    override: Override | None = None
    """Let a verdict pass that is no pass, under a name, with a reason, for a time. May be edited after the end."""
    runner: Runner = Runner()
    """How pods are run. Without an image the serving profile's image runs, as it will serve."""
    run_policy: EvalRunPolicy = EvalRunPolicy()
    """Attempts, time limits and what is kept."""
    run_token: Token | None = None
    """Any new string starts a new run with the spec as it is then."""
    suspend: bool = False
    """Stop the pods and start nothing."""

    @model_validator(mode="after")
    def _gates_can_be_judged(self) -> "EvalSpec":
        self._check_subject()
        self._check_traffic()
        for gate in self.gates:
            if gate.max_regression is not None and self.champion is None:
                raise ValueError(f"gate {gate.name}: maxRegression needs a champion")
            if gate.metric == "Leakage" and self.training_data is None:
                raise ValueError(f"gate {gate.name}: Leakage needs trainingData")
            if gate.metric in SAMPLED_METRICS and not (self.generation and self.generation.samples):
                raise ValueError(f"gate {gate.name}: {gate.metric} needs generation.samples")
        if self.benchmark is not None:
            self._check_benchmark(self.benchmark)
        return self

    def _check_benchmark(self, benchmark: Benchmark) -> None:
        if benchmark.rule_mode == RuleMode.RETRIEVED and self.rule_set is None:
            raise ValueError("ruleMode Retrieved needs ruleSet; give it or use ruleMode None")
        for gate in self.gates:
            if gate.subset is not None and gate.subset not in benchmark.subsets:
                raise ValueError(f"gate {gate.name}: subset {gate.subset} is not one of benchmark.subsets")
            if benchmark.rule_mode == RuleMode.ORACLE and gate.severity == "Required":
                raise ValueError(f"gate {gate.name}: ruleMode Oracle cannot satisfy a Required gate")

    def _check_traffic(self) -> None:
        if (self.traffic is None) == (self.benchmark is None):
            raise ValueError("traffic is judged as it was served, without benchmark; all else needs one")
        for gate in self.gates:
            if (gate.metric in GOODRATE_METRICS) != (self.traffic is not None):
                raise ValueError(f"gate {gate.name}: gates on traffic have the metrics {', '.join(GOODRATE_METRICS)}")
        beside = (self.rule_set, self.training_data, self.generation, self.champion)
        if self.traffic is not None and (self.shards != 1 or any(given is not None for given in beside)):
            raise ValueError(f"{', '.join(_OF_A_BENCHMARK)} and shards go with a benchmark, not with traffic")

    def _check_subject(self) -> None:
        if sum(given is not None for given in (self.model_ref, self.endpoint, self.deployment_ref, self.traffic)) != 1:
            raise ValueError(f"give exactly one of {', '.join(_SUBJECTS)}")
        # The image is left out: a spec that a run began with carries the installation's there, whatever is judged.
        given = self.serving_profile.model_copy(update={"image": None})
        if self.model_ref is None and given != ServingProfile():
            raise ValueError("servingProfile goes with modelRef: what serves has its own")
        if self.model_ref is None and self.signing is not None:
            raise ValueError("signing goes with modelRef: no other verdict lets a model serve")
        if self.endpoint is not None and self.training_data is not None:
            raise ValueError("trainingData: what an endpoint's model was trained on is not known")
        if self.endpoint and self.endpoint.reasoning_model and self.generation and self.generation.samples:
            raise ValueError("generation.samples: a reasoning model takes no seed, its samples could not be told apart")


class RelevanceEval(Resource):
    """Judges a model: scores with intervals on a benchmark, gates, and a verdict that is bound to digests."""

    model_config = ConfigDict(json_schema_extra=cel(short_name(MAX_NAME, "so that the names of its children fit 63")))

    spec: EvalSpec
    status: EvalStatus = EvalStatus()

    @model_validator(mode="after")
    def _name_fits(self) -> "RelevanceEval":
        self.metadata.check_name(MAX_NAME)
        return self
