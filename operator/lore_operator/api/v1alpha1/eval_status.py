"""What the operator tells about a RelevanceEval."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from lore_core.attestation.trust import MAX_ENVELOPE
from lore_core.jobs.config import Decimal, Name
from lore_core.router.config import PredictorStratum
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    CommonStatus,
    Count,
    Digest,
    Failure,
    Progress,
    ResultRef,
)
from lore_operator.api.v1alpha1.schema_hints import (
    Unchecked,
    atomic,
    list_map,
)

Total = Annotated[int, Field(ge=0, le=1_000_000_000_000)]
"""A count that traffic has."""


class OverrideStatus(ApiModel):
    """The override that counts now."""

    by: str = Field(max_length=256)
    """Who answers for it."""
    reason: str = Field(max_length=1024)
    """Why."""
    expires: str = Field(json_schema_extra={"format": "date-time"})
    """Until when it holds."""


class ServedTier(ApiModel):
    """The tier as it was resolved."""

    deployment: Name
    """RelevanceDeployment."""
    stratum: PredictorStratum
    """Tier."""
    backend: Name
    """InferenceService that answers."""
    model: Name
    """RelevanceModel that it serves."""
    digest: Digest
    """Digest of that model."""


class JudgedModel(ApiModel):
    """The model as it was resolved."""

    name: Name
    """RelevanceModel."""
    uri: str = Field(max_length=1024)
    """Where it is."""
    digest: Digest
    """What it is."""


class MeasuredTraffic(ApiModel):
    """What was measured of served results, and how far raters and judge agree."""

    served: str = Field(max_length=1024)
    """Folder of the served log."""
    first_day: str = Field(max_length=10)
    """First day of the window."""
    last_day: str = Field(max_length=10)
    """Last day of the window."""
    revision: Name | None = None
    """Revision whose answers were measured; all without one."""
    requests: Total
    """Requests of the window in the log."""
    sampled: Total
    """Of these were drawn."""
    rated: Total
    """Of these people rated."""
    unreadable: Total
    """Answers of the judge without a label."""
    raters: Total
    """People who rated."""
    raters_alpha: Decimal | None = None
    """Krippendorff's alpha of people over L1 to L4."""
    items_both_rated: Total | None = None
    """Items that judge and people rated."""
    judge_agreement: Decimal | None = None
    """Share of these on which the judge agrees with most people on good or not."""
    judge_kappa: Decimal | None = None
    """Cohen's kappa of that."""


class GateOutcome(ApiModel):
    """What a gate found; further numbers are stored as the report gives them."""

    model_config = ConfigDict(extra="allow")

    name: Name
    """Name of the gate."""
    outcome: str = Field(max_length=32)
    """Passed, Failed or Inconclusive."""
    severity: str = Field(default="Required", max_length=32)
    """Required or Advisory."""
    message: str = Field(default="", max_length=2048)
    """Slice, value, interval, champion."""


class ShardStatus(ApiModel):
    """Shards of the latest attempt to score."""

    total: Count
    """Pods that score."""
    scored: Count
    """Shards whose answers are all there."""
    failed: Count
    """Shards that gave up; another attempt scores what they lack."""
    failed_indexes: str | None = Field(default=None, max_length=1024)
    """Which ones."""


class EvalStatus(CommonStatus):
    """The verdict and what it is bound to."""

    verdict: Literal["Passed", "Failed", "Inconclusive"] | None = None
    """The verdict."""
    subject: str | None = Field(default=None, max_length=256)
    """What is judged, for the column: a model, an endpoint's model, deployment/stratum, or traffic with its days."""
    model: JudgedModel | None = None
    """Model it is about; absent where an endpoint, a served tier or traffic is judged."""
    tier: ServedTier | None = None
    """Served tier it is about."""
    traffic: MeasuredTraffic | None = None
    """Served results it is about."""
    primary: Unchecked | None = None
    """The metric for the column: name, value, interval."""
    gates: Annotated[tuple[GateOutcome, ...], *list_map("name", 64)] = ()
    """Every gate."""
    gates_passed: str | None = Field(default=None, max_length=16)
    """Passed of all, for the column."""
    scores: Annotated[tuple[Unchecked, ...], atomic(128)] = ()
    """Metrics with intervals; the evidence has all."""
    timing: Unchecked | None = None
    """Milliseconds until a pair had its answer, under the load of this evaluation: p50Ms, p95Ms, p99Ms, of `slices` too."""
    evidence: ResultRef | None = None
    """Report and per-pair scores."""
    attestation: str | None = Field(default=None, max_length=MAX_ENVELOPE)
    """The signed verdict, for spec.evidence of a RelevanceModel in another cluster."""
    override: OverrideStatus | None = None
    """The override that lets this verdict pass."""
    benchmark_digest: Digest | None = None
    """Benchmark that was used."""
    gate_set_digest: Digest | None = None
    """Gates that were applied."""
    profile_digest: Digest | None = None
    """Serving profile the verdict holds for."""
    rules_digest: Digest | None = None
    """Rule set that prompts could show."""
    protocol: Literal["LabelScore", "GeneratedAnswer"] | None = None
    """How labels were read; a tier serves label scores."""
    champion: ResultRef | None = None
    """Evidence it was compared with."""
    custom_runner: bool | None = None
    """Whether an image other than the profile's computed it."""
    attempt: Count | None = None
    """Latest attempt."""
    job_name: str | None = Field(default=None, max_length=63)
    """Its Job."""
    progress: Progress | None = None
    """Latest progress, of all shards together; the time left is that of the slowest."""
    shards: ShardStatus | None = None
    """How the shards stand."""
    start_time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """When the run's first attempt was created."""
    completion_time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """When the run ended."""
    failure: Failure | None = None
    """Latest failure."""
