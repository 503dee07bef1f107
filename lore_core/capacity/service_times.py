"""Measured service times, as `python -m benchmarks.replay --json` writes them and `lore plan` reads them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from lore_core.jobs.config import WireModel

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ServiceTimes(WireModel):
    """What one request or pair costs, and how often the head has the answer.

    `head_request_seconds` are of one core of a router for one lookup of a whole request; `torso_pair_seconds` and
    `tail_pair_seconds` of one replica for one pair, at the batch sizes of real load (its pairs a second, turned over); where they
    were measured on a CPU they are core-seconds, and a replica is one core.
    `head_pair_hits` is the share of pairs of head queries that the generation has, `head_request_hits` the share of
    head queries whose pairs it has all. `source` says where the figures come from.
    """

    format_version: Literal[1] = 1
    source: str = Field(max_length=200)
    head_request_seconds: Seconds
    torso_pair_seconds: Seconds
    tail_pair_seconds: Seconds
    head_pair_hits: Share
    head_request_hits: Share


def read_service_times(path: Path) -> ServiceTimes:
    """The file's content. Raises ValueError naming file and field, or OSError."""
    try:
        return ServiceTimes.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        remedy = "write it with python -m benchmarks.replay --json FILE"
        raise ValueError(f"{path}: {where}: {first['msg']}; {remedy}") from error
