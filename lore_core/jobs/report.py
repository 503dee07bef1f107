"""What a workload pod tells the operator: one small JSON document per attempt, replaced as a whole."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, JsonValue

from lore_core.artifacts.ref import Digest
from lore_core.jobs.config import Decimal, WireModel

REPORT_KEY: Final = "report.json"
MAX_REPORT_BYTES: Final = 64 * 1024
MIN_INTERVAL_SECONDS: Final = 10.0
REASON: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")


def shard_key(number: int) -> str:
    """The key of a shard's own report in the ConfigMap of their attempt; the first shard's is the attempt's."""
    return f"shard-{number}.json" if number else REPORT_KEY


class Phase(StrEnum):
    """Where the pod's work stands. Only `Succeeded` and `Failed` are final."""

    STARTING = "Starting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Progress(WireModel):
    """Steps done of steps planned; decimals are strings, as everywhere in status."""

    step: int = Field(ge=0)
    total_steps: int = Field(ge=0)
    unit: str = "steps"
    loss: Decimal | None = None
    seconds_remaining: int | None = Field(default=None, ge=0)


class Result(WireModel):
    """The artifact that was made; `reused` where an equal one was found and nothing was computed."""

    uri: str
    digest: Digest
    reused: bool = False


class Failure(WireModel):
    """Why the work cannot be done. `reason` is one of the documented CamelCase reasons; the rest says where and what to do."""

    reason: str = Field(pattern=f"^{REASON.pattern}$")
    message: str = Field(max_length=4096)
    file: str | None = None
    line: int | None = None
    field: str | None = None


MeasureName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9.]{0,63}$")]
MOST_MEASURES: Final = 24


class Report(WireModel):
    """The whole report. `summary` is the verb's own: curves, scores and gate outcomes, coverage.

    `measured` are the latest values of what the work measures of itself while it runs, such as a loss or a reward.
    """

    phase: Phase = Phase.STARTING
    started_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    last_updated: datetime = Field(default_factory=lambda: datetime.now(UTC))
    progress: Progress | None = None
    measured: dict[MeasureName, Decimal] = Field(default={}, max_length=MOST_MEASURES)
    resolved: dict[str, Digest] = {}
    result: Result | None = None
    summary: dict[str, JsonValue] = {}
    failure: Failure | None = None

    def to_json(self) -> str:
        """The bytes for the ConfigMap; ValueError if they would not fit."""
        text = self.model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) > MAX_REPORT_BYTES:
            raise ValueError(f"report is {len(text.encode())} bytes, the limit is {MAX_REPORT_BYTES}; shorten summary")
        return text
