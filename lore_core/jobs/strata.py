"""The config of a strata build in a pod: a query log to a snapshot, set beside the one that serves."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lore_core.artifacts.ref import ArtifactRef, Digest
from lore_core.jobs.wire import Name, Positive, Share, Weight, WireModel

Column = Annotated[str, Field(min_length=1, max_length=256)]
MOST_PINS = 500


class LogColumns(WireModel):
    """Columns of the log, where they are not called as the fields are."""

    query: Column | None = None
    count: Column | None = None
    date: Column | None = None
    user: Column | None = None


class TrendSettings(WireModel):
    """What lifts a query: so many times the requests a day that it had before, in the last `days`, at least `least`."""

    factor: Positive = "3"
    days: int = Field(default=1, ge=1, le=366)
    least: int = Field(default=50, ge=1)


class PinnedQuery(WireModel):
    """A query whose stratum a person decides."""

    query: str = Field(min_length=1, max_length=512, pattern=r"\S")
    stratum: Literal["head", "torso", "tail"]


class SnapshotRecipe(WireModel):
    """How a query log becomes a snapshot, as a spec gives it; the words are those of `lore strata build`.

    `head` and `torso` are shares of the traffic, numbers of queries, or least requests of a query, as `rule` says. With
    `windowDays` or `halfLifeDays` rows need a date, with `botLimit` a date and a user. `memory` is what DuckDB may use
    before it spills to disk; the pod needs about as much again.
    """

    columns: LogColumns = LogColumns()
    rule: Literal["Share", "Top", "Count"] = "Share"
    head: Weight = "0.5"
    torso: Weight = "0.3"
    hysteresis: Share = "0.1"
    window_days: int | None = Field(default=None, ge=1, le=3660)
    half_life_days: Positive | None = None
    bot_limit: int | None = Field(default=None, ge=1)
    trend: TrendSettings | None = None
    pins: tuple[PinnedQuery, ...] = Field(default=(), max_length=MOST_PINS)
    max_broken_share: Share = "0.001"
    memory: str = Field(default="1GB", pattern=r"^[1-9][0-9]{0,5}(MB|GB)$")

    @model_validator(mode="after")
    def _shares_leave_room(self) -> "SnapshotRecipe":
        head, torso = float(self.head), float(self.torso)
        if self.rule == "Share" and head + torso > 1:
            raise ValueError(f"head {self.head} and torso {self.torso}: shares must sum to at most 1")
        if self.rule == "Count" and not 0 < torso <= head:
            raise ValueError(
                f"torso {self.torso}: a torso query has fewer requests than a head query, and at least one"
            )
        return self


class StrataBuildConfig(WireModel):
    """`lore strata propose`: build a snapshot from the log as it is now, and say how it differs from `live`."""

    deployment: Name
    log: ArtifactRef
    live: ArtifactRef
    recipe: SnapshotRecipe = SnapshotRecipe()
    workspace: ArtifactRef
    input_key: Digest

    @property
    def output(self) -> ArtifactRef:
        """Where the snapshot goes."""
        return self.workspace.child(f"strata/{self.input_key.removeprefix('sha256:')[:20]}")
