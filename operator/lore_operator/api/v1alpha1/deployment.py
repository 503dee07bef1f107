"""RelevanceDeployment: serves queries by frequency; head from precomputed scores, torso from a student, tail from the LLM."""

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from lore_core.router.config import TierPolicy
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    Image,
    LocalReference,
    PinnedRef,
    PodSettings,
    Resource,
    Runner,
    Token,
    Workspace,
)
from lore_operator.api.v1alpha1.deployment_status import DeploymentStatus
from lore_operator.api.v1alpha1.entrances import GatewayRoute, InferenceGraph
from lore_operator.api.v1alpha1.rollout import Rollout
from lore_operator.api.v1alpha1.schema_hints import (
    Rule,
    cel,
    list_map,
    short_name,
)
from lore_operator.api.v1alpha1.serving_gate import ServingGate
from lore_operator.api.v1alpha1.strata import Strata
from lore_operator.api.v1alpha1.tiers import Tier

MAX_NAME = 40
"""`NAME-router` and its pods, and `NAME-head-XXXXXXXX-aNNN`, must fit 63 characters."""


class SecretUse(ApiModel):
    """A Secret that pods mount; the operator never reads it."""

    secret_ref: LocalReference
    """The Secret."""


class ServedLog(ApiModel):
    """Answered rerank requests on the router's standard output: queries of people, with the items they got."""

    sample_percent: int = Field(ge=1, le=100)
    """Share of the requests. Leave it as it is within a window that is measured: strata are weighed by what was logged."""


class Router(ApiModel):
    """The pods that answer requests."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Rule(
                "!has(self.inferenceGraph) || (!has(self.tls) && !has(self.tokens))",
                "inferenceGraph goes without tls and tokens: KServe's graph router trusts no private authority"
                " and passes no headers on",
            )
        )
    )

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
    served_log: ServedLog | None = None
    """What GoodRate is measured from; off without it."""
    tokens: SecretUse | None = None
    """Bearer tokens (key `tokens`): a line is TOKEN, TOKEN CLIENT, or TOKEN CLIENT REQUESTS_A_SECOND of one router."""
    gateway: GatewayRoute | None = None
    """A Gateway API route to the routers; their pods are not touched by it."""
    inference_graph: InferenceGraph | None = None
    """A KServe InferenceGraph before the routers; their pods are not touched by it."""

    @model_validator(mode="after")
    def _graph_reaches_it(self) -> "Router":
        if self.inference_graph is not None and (self.tls is not None or self.tokens is not None):
            raise ValueError("router: inferenceGraph goes without tls and tokens")
        return self


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

_BUILDS_SOMEWHERE = Rule(
    "!has(self.strata.build) || has(self.workspace)", "strata.build needs workspace, where snapshots are written"
)

_VERIFIED = Rule(
    "self.gate.mode == 'Disabled' || (has(self.gate.allowUnverified) && self.gate.allowUnverified)"
    " || !self.tiers.exists(t, has(t.predictor) && has(t.predictor.kserveRuntime))",
    "no digest is verified where kserveRuntime loads the model: set gate.allowUnverified, or leave kserveRuntime out",
)

_FALLBACK_THERE = Rule(
    "!has(self.rollout) || !has(self.rollout.surge) || self.rollout.surge != 'PerTier'"
    " || self.tiers.all(t, has(t.cache) || (has(t.fallback) && t.fallback.size() > 0))",
    "rollout.surge PerTier needs a fallback of every tier with a predictor",
)


class DeploymentSpec(ApiModel):
    """What is served, from what, and how changes take over."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            _TAIL_THERE, _TIERS_NAMED, _BUILDER_THERE, _SCORER_THERE, _BUILDS_SOMEWHERE, _VERIFIED, _FALLBACK_THERE
        )
    )

    strata: Strata
    """Frequency snapshot that tells head, torso and tail."""
    items: PinnedRef | None = None
    """Item features by id."""
    rule_set: PinnedRef | None = None
    """Rules shown in the prompt."""
    workspace: Workspace | None = None
    """Where head generations and built strata snapshots are written."""
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
        if self.strata.build is not None and self.workspace is None:
            raise ValueError("strata.build needs workspace, where snapshots are written")
        if "tail" not in strata:
            raise ValueError("tiers must have one with stratum tail")
        unverified = [tier.stratum for tier in self.tiers if tier.predictor and tier.predictor.kserve_runtime]
        if unverified and self.gate.mode == "Enforced" and not self.gate.allow_unverified:
            raise ValueError(f"tier {unverified[0]}: kserveRuntime needs gate.allowUnverified")
        for tier in self.tiers:
            if self.rollout.surge == "PerTier" and tier.predictor is not None and not tier.fallback:
                raise ValueError(f"rollout.surge PerTier needs a fallback of every tier; {tier.stratum} has none")
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


class RelevanceDeployment(Resource):
    """Serves relevance by query frequency: head from precomputed scores, torso from a student, tail from the LLM."""

    model_config = ConfigDict(json_schema_extra=cel(short_name(MAX_NAME, "so that the names of its children fit 63")))

    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()

    @model_validator(mode="after")
    def _name_fits(self) -> "RelevanceDeployment":
        self.metadata.check_name(MAX_NAME)
        return self
