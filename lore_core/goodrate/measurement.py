"""A measurement of served results as an artifact: the verdict, what it is bound to, and the sample with all its ratings.

`report.json` holds the report; `sample.jsonl`, `people.jsonl` and `judge.jsonl` what it was computed from. It is not evidence of a
model: no gate of a deployment and no promotion takes it.
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, JsonValue, ValidationError

from lore_core.artifacts import ArtifactRef, Digest, publish, verify
from lore_core.evaluation.gates import GateOutcome, Outcome, number
from lore_core.evaluation.scores import ScoreRow
from lore_core.evaluation.summary import fitting, judged
from lore_core.goodrate.traffic import Traffic, slice_name
from lore_core.jobs import Sampling
from lore_core.jobs.config import WireModel
from lore_core.jobs.errors import JobError
from lore_core.jobs.evaluation import GOODRATE_METRICS
from lore_core.records.jsonl import write_jsonl

KIND: Final = "goodrate"
REPORT: Final = "report.json"
SAMPLE: Final = "sample.jsonl"
PRIMARY: Final = "ItemGoodRate"


class Bound(WireModel):
    """Digests of what was read: served log and ratings of people, items; who judged, by which rubric; and the gates."""

    served: Digest
    people: Digest | None = None
    items: Digest | None = None
    judge: Digest | None = None
    rubric: Digest | None = None
    gate_set: Digest


class Measurement(WireModel):
    """The content of `report.json`.

    Of `requests` in the window `sampled` were drawn, and people rated `rated`. `unreadable` answers of the judge had no label.
    `ratings` says who rated under which guidelines and how far they agree.
    """

    format_version: Literal[1] = 1
    evaluation: str
    served: str
    first_day: date
    last_day: date
    revision: str | None = None
    sampling: Sampling
    bound: Bound
    verdict: Outcome
    why: str
    gates: tuple[GateOutcome, ...]
    scores: tuple[ScoreRow, ...]
    requests: int = Field(ge=1)
    sampled: int = Field(ge=1)
    rated: int = Field(ge=0)
    unreadable: int = Field(ge=0)
    ratings: dict[str, JsonValue]


def score_rows(traffic: Traffic) -> Iterable[ScoreRow]:
    """Estimates first, all traffic before its slices; then what the judge alone says, which has no interval."""
    for where in traffic.slices():
        for metric in GOODRATE_METRICS:
            if (rate := traffic.rate(metric, where)) is not None and rate.value is not None:
                yield _row(traffic, metric, where, rate.value, rate.low, rate.high)
    for where in traffic.slices():
        for metric in GOODRATE_METRICS:
            if (value := traffic.heard(metric, where)) is not None:
                yield _row(traffic, f"Judge{metric}", where, value, None, None)


def _row(
    traffic: Traffic, metric: str, where: dict[str, str], value: float, low: float | None, high: float | None
) -> ScoreRow:
    requests, items = traffic.rated(where)
    return ScoreRow(
        metric=metric,
        slice=slice_name(where),
        value=str(number(value)),
        low=number(low),
        high=number(high),
        queries=requests,
        samples=items,
    )


def write_rows(path: Path, rows: Iterable[BaseModel]) -> None:
    """One JSON object a line."""
    write_jsonl(path, (row.model_dump(mode="json", exclude_none=True) for row in rows))


def publish_measurement(folder: Path, to: ArtifactRef, report: Measurement) -> ArtifactRef:
    """Write the report beside what it was computed from, and publish all of it."""
    text = report.model_dump_json(by_alias=True, exclude_none=True, indent=1)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8")
    inputs = report.bound.model_dump(mode="json", include={"served", "people", "items"}, exclude_none=True)
    return publish(folder, to, KIND, inputs=inputs, metadata={"verdict": report.verdict.value})


def read_measurement(ref: ArtifactRef, into: Path) -> tuple[Measurement, str]:
    """Fetch and verify; the report and the artifact's digest. Raises ArtifactError or JobError."""
    manifest = verify(ref, into)
    try:
        return Measurement.model_validate_json((into / REPORT).read_bytes()), manifest.digest
    except (OSError, ValidationError) as error:
        text = f"{ref.uri}: is a {manifest.kind}, not a {KIND} of this version; give another workspace: {error}"
        raise JobError("WrongArtifactKind", text, field="workspace") from error


def summary(report: Measurement, made: ArtifactRef) -> dict[str, Any]:
    """What the operator is told, shortened until it fits; the artifact holds everything."""
    return fitting(lambda scores, characters: _summary(report, made, scores, characters))


def _summary(report: Measurement, made: ArtifactRef, scores: int, characters: int) -> dict[str, Any]:
    return {
        **judged(report, PRIMARY, scores, characters),
        "gateSetDigest": report.bound.gate_set,
        **({"endpointDigest": report.bound.judge} if report.bound.judge else {}),
        "traffic": traffic_summary(report),
        "evidence": {"uri": made.uri, "digest": made.digest},
    }


def traffic_summary(report: Measurement) -> dict[str, Any]:
    """What was measured, and how far raters and judge agree: decimals as texts, what is not known left out."""
    found = report.model_dump(mode="json", by_alias=True, include={"served", "first_day", "last_day", "revision"})
    counts = {name: getattr(report, name) for name in ("requests", "sampled", "rated", "unreadable")}
    return {name: value for name, value in (found | counts | _agreement(report.ratings)).items() if value is not None}


def _agreement(ratings: dict[str, Any]) -> dict[str, Any]:
    among, judge = ratings["agreement"], ratings.get("judge") or {}
    both = judge.get("itemsBothRated") or None
    return {
        "raters": ratings["raters"],
        "ratersAlpha": number(among["alphaOrdinal"]),
        "itemsBothRated": both,
        "judgeAgreement": number(judge.get("agreeOnGood")) if both else None,
        "judgeKappa": number(judge.get("kappaOnGood")),
    }
