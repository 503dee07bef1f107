"""What the operator tells about a RelevanceDeployment."""

from typing import Annotated

from pydantic import Field

from lore_core.jobs.config import Name
from lore_core.router.config import Stratum
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    CommonStatus,
    Count,
    Digest,
    Failure,
    Progress,
    ResultRef,
    Timestamp,
)
from lore_operator.api.v1alpha1.schema_hints import (
    Unchecked,
    list_map,
)


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


class ProposedShare(ApiModel):
    """One stratum in a proposed snapshot."""

    stratum: Stratum
    """Which queries."""
    proposed: str = Field(max_length=24)
    """Share of the log's requests that the proposal gives it."""
    live: str | None = Field(default=None, max_length=24)
    """Share that it has in the snapshot that serves, of that one's log."""


class StrataProposal(ApiModel):
    """The latest snapshot that was built."""

    result: ResultRef
    """The snapshot."""
    verdict: str = Field(max_length=32)
    """Accepted, AwaitingApproval, or Outdated where spec.strata was changed since."""
    message: str | None = Field(default=None, max_length=2048)
    """Which guards it is beyond."""
    shares: Annotated[tuple[ProposedShare, ...], *list_map("stratum", 3)] = ()
    """Shares of the strata beside those of the snapshot that serves."""
    head_churn: str | None = Field(default=None, max_length=24)
    """Queries that enter or leave the head, whichever are more, as a share of the live head."""
    requests: int | None = Field(default=None, ge=0)
    """Requests of the log that counted."""


class StrataStatus(ApiModel):
    """Which snapshot is meant to serve, and how its successors are built."""

    result: ResultRef
    """The snapshot that the composition is made of: spec.strata, or an accepted proposal."""
    proposal: StrataProposal | None = None
    """The latest proposal."""
    job_name: str | None = Field(default=None, max_length=63)
    """Job of the latest build."""
    last_build: Timestamp | None = None
    """When the latest build began."""
    next_build: Timestamp | None = None
    """When the next one begins, while nothing else is rolled out."""
    failure: Failure | None = None
    """Why the latest build failed; the next one is tried at its time."""


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
    """Stable, Candidate, Kept (within rollout.keepFor), Superseded or Failed."""
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
    strata: StrataStatus | None = None
    """Scheduled builds of the strata snapshot, where spec.strata.build asks for them."""
    traffic: Annotated[tuple[TrafficStatus, ...], *list_map("stratum", 3)] = ()
    """Shares of the strata, once routers have seen drift.minQueries queries."""
    revisions: Annotated[tuple[RevisionStatus, ...], *list_map("revision", 50)] = ()
    """History, newest first."""
    router: Unchecked | None = None
    """Config hash, acknowledgements and ready pods."""
    failure: Failure | None = None
    """Latest failure."""
