"""The tiers of a RelevanceDeployment: what answers a stratum, with which model, and what guards it."""

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from lore_core.router.config import PredictorStratum, Stratum
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    Duration,
    LocalReference,
    ObjectName,
    PinnedRef,
    PodSettings,
    ServingProfile,
)
from lore_operator.api.v1alpha1.schema_hints import (
    Rule,
    cel,
    exactly_one,
    list_set,
)
from lore_operator.api.v1alpha1.subject import ModelReference


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


class KServeRuntime(ApiModel):
    """A runtime of KServe's own. It must answer vLLM's routes at its root, and take vLLM's arguments."""

    name: ObjectName
    """ServingRuntime of this namespace, or ClusterServingRuntime."""
    storage_uri: str = Field(
        pattern=r"^((s3|gs|pvc|hf|oci)://[^\s?#]+|https://[^\s/?#@]+(/[^\s?#]*)?)$", max_length=1024
    )
    """Where KServe's initializer finds the model. Nobody compares it with the digest of modelRef."""
    model_format: str = Field(default="vLLM", min_length=1, max_length=63)
    """One of the formats that the runtime says it supports."""


_OWN_IMAGE = Rule(
    "!has(self.kserveRuntime) || !has(self.servingProfile) || !has(self.servingProfile.image)",
    "servingProfile.image goes without kserveRuntime: the runtime brings its own",
)
_OWN_PODS = Rule(
    "!has(self.kserveRuntime) || !has(self.runner) || !has(self.runner.podTemplate)",
    "runner.podTemplate goes without kserveRuntime: override the runtime itself",
)


class Predictor(ApiModel):
    """A model behind vLLM. Equal model, profile and engine arguments share one backend; the rest may differ freely."""

    model_config = ConfigDict(json_schema_extra=cel(_OWN_IMAGE, _OWN_PODS))

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
    kserve_runtime: KServeRuntime | None = None
    """Unverified: a runtime of KServe's in place of our container, which verifies each byte of the model before it is loaded."""

    @model_validator(mode="after")
    def _one_container(self) -> "Predictor":
        if self.kserve_runtime is not None and self.serving_profile.image is not None:
            raise ValueError("predictor: servingProfile.image goes without kserveRuntime")
        if self.kserve_runtime is not None and self.runner.pod_template is not None:
            raise ValueError("predictor: runner.podTemplate goes without kserveRuntime")
        return self


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
