"""RelevanceDeployment: serves queries by frequency; head from precomputed scores, torso from a student, tail from the LLM."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from lore_core.jobs.config import Name
from lore_core.router.config import STRATA, PredictorStratum, Stratum, TierPolicy
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    ArtifactRef,
    CommonStatus,
    Count,
    Digest,
    Duration,
    Failure,
    Image,
    LocalReference,
    PinnedRef,
    PodSettings,
    Progress,
    Resource,
    ResultRef,
    Runner,
    ServingProfile,
    Token,
)
from lore_operator.api.v1alpha1.evaluation import ModelReference
from lore_operator.api.v1alpha1.schema_hints import (
    Rule,
    Unchecked,
    atomic,
    cel,
    exactly_one,
    list_map,
    list_set,
    short_name,
)

MAX_NAME = 40
"""`NAME-router` and its pods, and `NAME-head-XXXXXXXX-aNNN`, must fit 63 characters."""


class Candidates(PinnedRef):
    """Query and item ids that a head generation scores."""


class CacheStore(ApiModel):
    """A Redis or Valkey server with head scores, for heads that change faster than compositions; `lore head push` fills it."""

    url: str = Field(pattern=r"^rediss?://[^\s@]+$", max_length=1024)
    """redis://HOST:PORT/DB, or rediss:// for TLS."""
    secret_ref: LocalReference | None = None
    """Secret with username, password, ca.crt, all optional. Routers mount it."""
    timeout: Duration = "20ms"
    """What takes longer is a miss."""


class Cache(ApiModel):
    """The head tier. A generation is given, or built from candidates with the model of another tier, or a store is asked."""

    model_config = ConfigDict(json_schema_extra=cel(exactly_one("generation", "candidates", "store")))

    generation: PinnedRef | None = None
    """A head generation, as it is."""
    candidates: Candidates | None = None
    """What to score; the operator builds a generation for each change of candidates, items or model."""
    store: CacheStore | None = None
    """A server that holds scores. Only those of fromTier's model with its prompt, rules and serving profile count."""
    from_tier: PredictorStratum = "tail"
    """Tier whose model scores the candidates, or scored what is in the store."""
    min_coverage: str = Field(default="0.99", pattern=r"^(0(\.[0-9]+)?|1(\.0+)?)$", max_length=24)
    """Least share of the candidates that a generation must cover."""
    on_miss: PredictorStratum = "torso"
    """Tier that answers what the generation lacks."""

    @model_validator(mode="after")
    def _one_source(self) -> "Cache":
        if sum(source is not None for source in (self.generation, self.candidates, self.store)) != 1:
            raise ValueError("cache: give exactly one of generation, candidates, store")
        return self


class Replicas(ApiModel):
    """How many pods serve a tier."""

    model_config = ConfigDict(
        json_schema_extra=cel(Rule("!has(self.max) || self.max >= self.min", "max must be at least min"))
    )

    min: int = Field(default=1, ge=1, le=1000)
    """Least number."""
    max: int | None = Field(default=None, ge=1, le=1000)
    """Most; without one the number is fixed."""

    @model_validator(mode="after")
    def _ordered(self) -> "Replicas":
        if self.max is not None and self.max < self.min:
            raise ValueError("replicas: max must be at least min")
        return self


class Predictor(ApiModel):
    """A model behind vLLM. Equal model, profile and engine arguments share one backend; the rest may differ freely."""

    model_ref: ModelReference
    """Model to serve."""
    serving_profile: ServingProfile = ServingProfile()
    """How it is served; it needs a verdict for exactly this."""
    tensor_parallel: int = Field(default=1, ge=1, le=64)
    """GPUs of one replica that share the model."""
    replicas: Replicas = Replicas()
    """How many pods."""
    runner: PodSettings = PodSettings()
    """How pods are run."""


class Guard(ApiModel):
    """What a predictor may be asked, and what happens when it is slow or fails."""

    max_questions: int = Field(default=128, ge=1, le=65_536)
    """Questions at once, for one router; one more is passed on to the next tier."""
    breaker_failures: int = Field(default=10, ge=1, le=10_000)
    """Failures in a row after which the tier rests."""
    breaker_pause: Duration = "1s"
    """How long it rests before one question probes it."""
    retry_percent: int = Field(default=10, ge=0, le=100)
    """Requests sent a second time (retries and hedges together), as a share of questions."""
    hedge_after: Duration | None = None
    """A request that takes longer is sent once more, and the first answer counts; never without it."""


class Tier(ApiModel):
    """What answers one stratum: exactly one of cache and predictor; only head can be a cache."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            exactly_one("cache", "predictor"),
            Rule("!has(self.cache) || self.stratum == 'head'", "only head can be a cache"),
            Rule("!has(self.fallback) || has(self.predictor)", "fallback goes with predictor; a cache has onMiss"),
            Rule("!has(self.fallback) || self.fallback.all(f, f != self.stratum)", "a tier cannot fall back to itself"),
            Rule("!has(self.guard) || has(self.predictor)", "guard goes with predictor"),
        )
    )

    stratum: Stratum
    """Which queries."""
    cache: Cache | None = None
    """Precomputed scores."""
    predictor: Predictor | None = None
    """A model."""
    budget: Duration = "300ms"
    """Time after which the next tier is asked."""
    fallback: Annotated[tuple[PredictorStratum, ...], *list_set(2)] | None = None
    """Tiers to ask when this one is late or down, in order."""
    guard: Guard | None = None
    """Limits of the predictor; those of the router without one."""

    @model_validator(mode="after")
    def _consistent(self) -> "Tier":
        if (self.cache is None) == (self.predictor is None):
            raise ValueError(f"tier {self.stratum}: give exactly one of cache, predictor")
        if self.cache is not None and self.stratum != "head":
            raise ValueError(f"tier {self.stratum}: only head can be a cache")
        if self.fallback is not None and (self.predictor is None or self.stratum in self.fallback):
            raise ValueError(f"tier {self.stratum}: fallback goes with predictor and names other tiers")
        if self.guard is not None and self.predictor is None:
            raise ValueError(f"tier {self.stratum}: guard goes with predictor")
        return self


class Selector(ApiModel):
    """Labels of RelevanceEvals."""

    match_labels: dict[str, str] = Field(default={}, max_length=16)
    """All of them must match."""


class Requirement(ApiModel):
    """A verdict that each model must have for its digest and serving profile before it may serve."""

    name: Name
    """Name of the requirement, for messages."""
    strata: Annotated[tuple[Stratum, ...], *list_set(3)] = ()
    """Tiers it holds for; all with a model when empty. A head that is built needs it for the model that scores."""
    eval_selector: Selector = Selector()
    """Which evaluations count; all of the namespace when empty."""
    benchmark_digest: Digest | None = None
    """Benchmark they must have used."""
    gate_set_digest: Digest | None = None
    """Gates they must have applied."""


class ServingGate(ApiModel):
    """What must be proven before a composition may serve."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Rule(
                "self.mode == 'Disabled' || (has(self.requirements) && self.requirements.size() > 0)",
                "requirements must not be empty; set mode: Disabled to serve unproven models",
            )
        )
    )

    mode: Literal["Enforced", "Disabled"] = "Enforced"
    """Disabled serves unproven models and is shown in a column."""
    requirements: Annotated[tuple[Requirement, ...], *list_map("name", 16)] = ()
    """All must hold."""

    @model_validator(mode="after")
    def _not_empty(self) -> "ServingGate":
        if self.mode == "Enforced" and not self.requirements:
            raise ValueError("gate.requirements must not be empty; set mode: Disabled to serve unproven models")
        return self


class PrometheusCheck(ApiModel):
    """A query of the installation's Prometheus, and the bounds of its answer."""

    model_config = ConfigDict(json_schema_extra=cel(Rule("has(self.min) || has(self.max)", "give min, max or both")))

    name: Name
    """Name of the check, for messages."""
    query: str = Field(min_length=1, max_length=2048)
    """PromQL with one number as its answer. In it ${revision}, ${stable}, ${deployment} and ${namespace} are replaced by the
    names of the new and the stable composition, the deployment and its namespace."""
    min: str | None = Field(default=None, pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=24)
    """Least value."""
    max: str | None = Field(default=None, pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=24)
    """Greatest value."""

    @model_validator(mode="after")
    def _bounded(self) -> "PrometheusCheck":
        if self.min is None and self.max is None:
            raise ValueError(f"check {self.name}: give min, max or both")
        return self


class Analysis(ApiModel):
    """What must be known of the new composition before the next step. What cannot be known holds it, and never passes.

    Counts are what all routers together saw of it since it came to them.
    """

    min_samples: int = Field(default=100, ge=1, le=100_000_000)
    """Answers (in a shadow step: mirrored questions) needed before anything is judged."""
    max_fallback_percent: int | None = Field(default=None, ge=0, le=100)
    """Most answers that needed a fallback tier."""
    max_neutral_percent: int | None = Field(default=None, ge=0, le=100)
    """Most answers that no tier gave."""
    min_agreement_percent: int | None = Field(default=None, ge=0, le=100)
    """Shadow only: least share of items with the label that the stable composition gave."""
    max_grade_difference: str | None = Field(default=None, pattern=r"^[0-9]+(\.[0-9]+)?$", max_length=24)
    """Shadow only: most mean absolute difference of grades."""
    prometheus: Annotated[tuple[PrometheusCheck, ...], *list_map("name", 16)] = ()
    """Bounds on what the installation's Prometheus (the chart's prometheus.url) answers."""
    evaluations: Annotated[tuple[Name, ...], *list_set(8)] = ()
    """RelevanceEvals, each of a model of the new composition, that must have passed; one that failed fails the composition."""


class Step(ApiModel):
    """One step of a rollout: queries that move, or queries that are mirrored."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            exactly_one("weight", "shadow"),
            Rule("!has(self.strata) || self.strata.size() == 0 || has(self.weight)", "strata goes with weight"),
            Rule(
                "!has(self.analysis) || has(self.shadow)"
                " || (!has(self.analysis.minAgreementPercent) && !has(self.analysis.maxGradeDifference))",
                "minAgreementPercent and maxGradeDifference go with shadow",
            ),
            Rule(
                "!has(self.analysis) || has(self.weight) || !has(self.analysis.maxFallbackPercent)",
                "maxFallbackPercent goes with weight",
            ),
        )
    )

    weight: int | None = Field(default=None, ge=1, le=100)
    """Percent of queries for the new composition."""
    strata: Annotated[tuple[Stratum, ...], *list_set(3)] = ()
    """Whose queries move; all when empty. The others keep the weight of the step before."""
    shadow: int | None = Field(default=None, ge=1, le=100)
    """Percent of the stable composition's queries that the new one answers too, unseen, to be compared."""
    for_: Duration = Field(default="0s", alias="for")
    """How long at least before the next step."""
    analysis: Analysis | None = None
    """What must hold before the next step; what breaks it fails the new composition at once."""
    approval: bool = False
    """Whether a person must let the rollout pass this step (rollout.approve)."""

    @model_validator(mode="after")
    def _consistent(self) -> "Step":
        if (self.weight is None) == (self.shadow is None):
            raise ValueError("give exactly one of weight, shadow")
        if self.strata and self.weight is None:
            raise ValueError("strata goes with weight")
        found = self.analysis
        of_shadow = found is not None and (found.min_agreement_percent, found.max_grade_difference) != (None, None)
        if of_shadow and self.shadow is None:
            raise ValueError("analysis: minAgreementPercent and maxGradeDifference go with shadow")
        if found is not None and found.max_fallback_percent is not None and self.weight is None:
            raise ValueError("analysis: maxFallbackPercent goes with weight")
        return self


class Rollout(ApiModel):
    """How a new composition takes over."""

    steps: Annotated[tuple[Step, ...], atomic(16)] = ()
    """The way to 100; none: at once when prepared. The weight of a stratum may not fall from step to step."""
    paused: bool = False
    """Hold a running rollout where it is."""
    approve: str | None = Field(default=None, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[0-9]{1,2}$", max_length=80)
    """REVISION/STEP: lets this revision pass the approval of this step (counted from 1) and of those before it."""
    prepare_deadline: Duration = "2h"
    """Longest time for building, fetching and warming."""
    on_failure: Literal["Rollback", "Pause"] = "Rollback"
    """When the new composition fails on the way. Rollback: all queries back to the stable one, and what was prepared goes.
    Pause: weights and predictors stay as they are until the spec, runToken or pinRevision says how to go on."""
    pin_revision: Name | None = None
    """Serve this revision of the history, whatever the spec says."""

    @model_validator(mode="after")
    def _weights_rise(self) -> "Rollout":
        reached: dict[str, int] = dict.fromkeys(STRATA, 0)
        for number, step in enumerate(self.steps, 1):
            for stratum in (step.strata or STRATA) if step.weight is not None else ():
                if (step.weight or 0) < reached[stratum]:
                    raise ValueError(f"rollout.steps: weight of {stratum} falls in step {number}")
                reached[stratum] = step.weight or 0
        return self


class SecretUse(ApiModel):
    """A Secret that pods mount; the operator never reads it."""

    secret_ref: LocalReference
    """The Secret."""


class Router(ApiModel):
    """The pods that answer requests."""

    replicas: int = Field(default=1, ge=1, le=1000)
    """How many."""
    image: Image | None = None
    """Image; the installation's default without one."""
    tier_policy: TierPolicy = TierPolicy.PER_QUERY
    """PerQuery: one tier an answer. PerItem: only the items that the head lacks go on."""
    runner: PodSettings = PodSettings()
    """How pods are run."""
    cache_size: str = Field(default="2Gi", pattern=r"^[0-9]+(Mi|Gi|Ti)$", max_length=32)
    """Volume for generations and snapshots; it must hold two of each."""
    tls: SecretUse | None = None
    """Certificate and key (keys tls.crt, tls.key). Questions are then answered on port 443 alone."""
    tokens: SecretUse | None = None
    """Bearer tokens (key `tokens`): a line is TOKEN, TOKEN CLIENT, or TOKEN CLIENT REQUESTS_A_SECOND of one router."""


class Drift(ApiModel):
    """How far shares of live traffic may be from those that the strata snapshot was built from."""

    max_points: int = Field(default=10, ge=1, le=100)
    """Most points of percent, for each stratum; beyond them the condition StrataDrifted is true."""
    min_queries: int = Field(default=1000, ge=1, le=1_000_000_000)
    """Queries of the last 24 hours, of all routers together, below which nothing is judged."""


_TAIL_THERE = Rule("self.tiers.exists(t, t.stratum == 'tail')", "tiers must have one with stratum tail")
_TIERS_NAMED = Rule(
    "self.tiers.all(t, (!has(t.cache) || self.tiers.exists(o, o.stratum == t.cache.onMiss))"
    " && (!has(t.fallback) || t.fallback.all(f, self.tiers.exists(o, o.stratum == f))))",
    "cache.onMiss and fallback must name tiers that exist",
)
_BUILDER_THERE = Rule(
    "self.tiers.all(t, !has(t.cache) || !has(t.cache.candidates)"
    " || (has(self.workspace) && has(self.items) && self.tiers.exists(o, o.stratum == t.cache.fromTier)))",
    "a head that is built from candidates needs workspace, items and the tier fromTier",
)

_SCORER_THERE = Rule(
    "self.tiers.all(t, !has(t.cache) || !has(t.cache.store) || self.tiers.exists(o, o.stratum == t.cache.fromTier))",
    "a head store needs the tier fromTier, whose model scored it",
)


class DeploymentSpec(ApiModel):
    """What is served, from what, and how changes take over."""

    model_config = ConfigDict(json_schema_extra=cel(_TAIL_THERE, _TIERS_NAMED, _BUILDER_THERE, _SCORER_THERE))

    strata: PinnedRef
    """Frequency snapshot that tells head, torso and tail."""
    items: PinnedRef | None = None
    """Item features by id."""
    rule_set: PinnedRef | None = None
    """Rules shown in the prompt."""
    workspace: ArtifactRef | None = Field(
        default=None,
        json_schema_extra=cel(Rule("!has(self.digest)", "workspace is a place, not an artifact: it has no digest")),
    )
    """Where head generations are written."""
    tiers: Annotated[tuple[Tier, ...], *list_map("stratum", 3, min_items=1)]
    """One per stratum."""
    gate: ServingGate
    """What must be proven first."""
    rollout: Rollout = Rollout()
    """How changes take over."""
    router: Router = Router()
    """The pods that answer requests."""
    drift: Drift = Drift()
    """When the strata no longer fit the traffic."""
    runner: Runner = Runner()
    """How head builds are run."""
    revision_history_limit: int = Field(default=10, ge=1, le=50)
    """Compositions that are remembered."""
    run_token: Token | None = None
    """Any new string tries a failed composition again."""
    suspend: bool = False
    """Change nothing; what serves goes on."""

    @model_validator(mode="after")
    def _tiers_fit_together(self) -> "DeploymentSpec":
        strata: set[str] = {tier.stratum for tier in self.tiers}
        if self.workspace is not None and self.workspace.digest is not None:
            raise ValueError("workspace is a place, not an artifact: it has no digest")
        if "tail" not in strata:
            raise ValueError("tiers must have one with stratum tail")
        for tier in self.tiers:
            named = {tier.cache.on_miss} if tier.cache else set(tier.fallback or ())
            if tier.cache and tier.cache.store:
                named |= {tier.cache.from_tier}
            if tier.cache and tier.cache.candidates:
                named |= {tier.cache.from_tier}
                if self.workspace is None or self.items is None:
                    raise ValueError("a head that is built from candidates needs workspace and items")
            if missing := named - strata:
                raise ValueError(f"tier {tier.stratum} names {', '.join(sorted(missing))}, which is not there")
        return self

    def tier(self, stratum: str) -> Tier | None:
        """The tier of a stratum."""
        return next((tier for tier in self.tiers if tier.stratum == stratum), None)


class TierStatus(ApiModel):
    """One tier of the composition that serves or is prepared."""

    stratum: Stratum
    """Which queries."""
    phase: str = Field(max_length=32)
    """Pending, Preparing, Ready or Failed."""
    backend: str | None = Field(default=None, max_length=63)
    """InferenceService."""
    model: str | None = Field(default=None, max_length=63)
    """RelevanceModel."""
    digest: Digest | None = None
    """Digest of the model or generation."""
    ready_replicas: Count | None = None
    """Pods that serve."""
    message: str | None = Field(default=None, max_length=2048)
    """What it waits for."""


class TrafficStatus(ApiModel):
    """One stratum's share of requests."""

    stratum: Stratum
    """Which queries."""
    expected: Count
    """Percent in the log that the stable snapshot was built from."""
    live: Count
    """Percent of the last 24 hours' queries, as the routers that run now counted them."""


class HeadStatus(ApiModel):
    """The head generation that was built."""

    result: ResultRef | None = None
    """The generation."""
    progress: Progress | None = None
    """Progress of the build."""
    coverage: str | None = Field(default=None, max_length=24)
    """Share of the candidates it covers."""
    job_name: str | None = Field(default=None, max_length=63)
    """Job that builds it."""
    failure: Failure | None = None
    """Why it failed."""


class RevisionStatus(ApiModel):
    """One composition of the history."""

    revision: Name
    """Name, as answers carry it in x-lore-revision."""
    outcome: str = Field(max_length=32)
    """Stable, Candidate, Superseded or Failed."""
    message: str | None = Field(default=None, max_length=2048)
    """Why it failed."""


class DeploymentStatus(CommonStatus):
    """What serves and what is on its way."""

    url: str | None = Field(default=None, max_length=1024)
    """Address inside the cluster."""
    stable: str | None = Field(default=None, max_length=63)
    """Revision that serves."""
    candidate: str | None = Field(default=None, max_length=63)
    """Revision on its way."""
    weight: Count | None = None
    """Percent of queries that the candidate answers."""
    step: Count | None = None
    """Step of the rollout."""
    gate: str | None = Field(default=None, max_length=64)
    """Passed, Blocked, Waiting or Disabled, for the column."""
    tiers: Annotated[tuple[TierStatus, ...], *list_map("stratum", 3)] = ()
    """Every tier."""
    head: HeadStatus | None = None
    """Head generation being built or serving."""
    traffic: Annotated[tuple[TrafficStatus, ...], *list_map("stratum", 3)] = ()
    """Shares of the strata, once routers have seen drift.minQueries queries."""
    revisions: Annotated[tuple[RevisionStatus, ...], *list_map("revision", 50)] = ()
    """History, newest first."""
    router: Unchecked | None = None
    """Config hash, acknowledgements and ready pods."""
    failure: Failure | None = None
    """Latest failure."""


class RelevanceDeployment(Resource):
    """Serves relevance by query frequency: head from precomputed scores, torso from a student, tail from the LLM."""

    model_config = ConfigDict(json_schema_extra=cel(short_name(MAX_NAME, "so that the names of its children fit 63")))

    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()

    @model_validator(mode="after")
    def _name_fits(self) -> "RelevanceDeployment":
        self.metadata.check_name(MAX_NAME)
        return self
