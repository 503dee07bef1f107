"""spec.strata: the frequency snapshot that serves, and the builds that propose its successors."""

from typing import Annotated

from pydantic import Field, model_validator

from lore_core.jobs import SnapshotRecipe
from lore_core.jobs.strata import MOST_PINS, PinnedQuery
from lore_operator.api.v1alpha1.common import ApiModel, ArtifactRef, Digest, Duration, PinnedRef, Runner, seconds
from lore_operator.api.v1alpha1.schema_hints import Rule, cel, list_map

_LEAST_SECONDS = 60


class StrataGuards(ApiModel):
    """How far a proposed snapshot may be from the one that serves, to take over without a person."""

    max_share_points: int = Field(default=10, ge=0, le=100)
    """Most points of percent by which a stratum's share of the requests may change."""
    max_head_churn_percent: int = Field(default=20, ge=0, le=100)
    """Most queries that may enter or leave the head, whichever are more, in percent of those that it has."""
    min_requests: int = Field(default=10_000, ge=1, le=1_000_000_000_000)
    """Least requests that the log must have counted."""


class StrataRecipe(SnapshotRecipe):
    """How a query log becomes a snapshot; the words are those of `lore strata build`."""

    pins: Annotated[tuple[PinnedQuery, ...], *list_map("query", MOST_PINS)] = ()
    """Queries whose stratum a person decides."""


class StrataBuild(ApiModel):
    """Snapshots built from a query log at intervals. Each is a proposal: within the guards it serves, beyond them it waits."""

    log: ArtifactRef = Field(
        json_schema_extra=cel(Rule("!has(self.digest)", "log is read as it is at each build: it has no digest"))
    )
    """Query log: an artifact, a file, or a folder of .jsonl, .csv or .parquet files."""
    every: Duration = "24h"
    """Time from the start of one build to that of the next, a minute at least."""
    recipe: StrataRecipe = StrataRecipe()
    """How the log is counted, and where head and torso end."""
    guards: StrataGuards = StrataGuards()
    """How far a proposal may go by itself."""
    approve: Digest | None = None
    """Digest of a proposal that a person lets pass the guards."""
    runner: Runner = Runner()
    """How builds are run; DuckDB needs no GPU."""

    @model_validator(mode="after")
    def _log_moves(self) -> "StrataBuild":
        if self.log.digest is not None:
            raise ValueError("log is read as it is at each build: it has no digest")
        if seconds(self.every).total_seconds() < _LEAST_SECONDS:
            raise ValueError(f"every {self.every}: a minute at least")
        return self


class Strata(PinnedRef):
    """Frequency snapshot that tells head, torso and tail.

    With `build`, later snapshots take its place while this one stays named here; naming another one here drops them.
    """

    build: StrataBuild | None = None
    """Builds at intervals that propose later snapshots."""
