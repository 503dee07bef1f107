"""What the operator is told: the verdict and the scores, within a report's size."""

import json
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, Protocol

from lore_core.artifacts import ArtifactRef
from lore_core.evaluation.evidence import EvidenceReport
from lore_core.evaluation.gates import GateOutcome, Outcome, number
from lore_core.evaluation.scores import PRIMARY, ScoreRow, slices
from lore_core.evaluation.slices import Slice
from lore_core.jobs.config import Decimal, WireModel
from lore_core.jobs.report import MAX_REPORT_BYTES

_SIZES: Final = ((100, 2048), (50, 1024), (20, 512), (0, 256))
"""Scores and characters a message, from the fullest form to one that always fits 64 gates."""
_ROOM: Final = MAX_REPORT_BYTES - 6 * 1024
_MOST_TIMED: Final = 32


class Quantiles(WireModel):
    """Milliseconds of a pair under this evaluation's load, from sending it to having its score."""

    p50_ms: Decimal | None
    p95_ms: Decimal | None
    p99_ms: Decimal | None


class SliceTiming(Quantiles):
    """Of one slice, `field=value`."""

    slice: str


class Timing(Quantiles):
    """Over all pairs, and over the first slices of the report. In no digest."""

    slices: tuple[SliceTiming, ...] = ()


def timing(scores: Slice) -> Timing:
    """Of an evaluation, over all pairs and by slice."""
    named = islice(slices(scores), _MOST_TIMED)
    timed = tuple(SliceTiming(slice=name, **_quantiles(scores.narrowed(where))) for name, where in named)
    return Timing(**_quantiles(scores), slices=timed)


def _quantiles(scores: Slice) -> dict[str, str | None]:
    return {f"p{percent}_ms": number(scores.value(f"LatencyP{percent}")) for percent in (50, 95, 99)}


def summary(
    report: EvidenceReport, evidence: ArtifactRef, measured: Timing | None = None, attestation: str | None = None
) -> dict[str, Any]:
    """The report's summary, shortened until it fits; the evidence holds everything but the time it took."""
    more: dict[str, Any] = {"attestation": attestation} if attestation is not None else {}
    if measured is not None:
        more["timing"] = measured.model_dump(mode="json", by_alias=True, exclude_none=True)
    return fitting(lambda scores, characters: _summary(report, evidence, scores, characters) | more)


def fitting(made: Callable[[int, int], dict[str, Any]]) -> dict[str, Any]:
    """The fullest summary that fits a report; `made` is given the most scores and the most characters of a message."""
    for scores, characters in _SIZES:
        found = made(scores, characters)
        if len(json.dumps(found, ensure_ascii=False).encode()) <= _ROOM:
            break
    return found


class Judged(Protocol):
    """What every report says, whatever was judged."""

    @property
    def verdict(self) -> Outcome:
        """Of all gates together."""

    @property
    def why(self) -> str:
        """The gates that decided it, in words."""

    @property
    def gates(self) -> tuple[GateOutcome, ...]:
        """Every gate."""

    @property
    def scores(self) -> tuple[ScoreRow, ...]:
        """The most important first."""


def judged(report: Judged, primary: str, scores: int, characters: int) -> dict[str, Any]:
    """Verdict, gates and the first scores; `primary` is the metric of the column, left out where it has no value."""
    gates = [gate.model_copy(update={"message": _cut(gate.message, characters)}) for gate in report.gates]
    row = next((row for row in report.scores if row.metric == primary), None)
    return {
        "verdict": report.verdict.value,
        "message": _cut(report.why, characters),
        **({"primary": {"name": row.metric, "value": row.value, "interval": _interval(row)}} if row else {}),
        "gates": [gate.model_dump(mode="json", by_alias=True, exclude_none=True) for gate in gates],
        "scores": [row.model_dump(mode="json", by_alias=True, exclude_none=True) for row in report.scores[:scores]],
    }


def _summary(report: EvidenceReport, evidence: ArtifactRef, scores: int, characters: int) -> dict[str, Any]:
    bound = report.bound
    return {
        **judged(report, PRIMARY, scores, characters),
        **({"modelDigest": bound.model, "profileDigest": bound.profile} if bound.model else {}),
        **({"endpointDigest": bound.endpoint} if bound.endpoint else {}),
        "benchmarkDigest": bound.benchmark,
        "gateSetDigest": bound.gate_set,
        "protocol": report.decoding.get("protocol", "LabelScore"),
        **({"rulesDigest": bound.rules} if bound.rules else {}),
        **({"championDigest": bound.champion} if bound.champion else {}),
        "pairs": report.pairs,
        "queries": report.queries,
        "unparsable": report.unparsable,
        "truncated": report.truncated,
        "meanOutside": report.mean_outside,
        "evidence": {"uri": evidence.uri, "digest": evidence.digest},
    }


def _interval(row: ScoreRow) -> str:
    return f"[{row.low}, {row.high}]" if row.low is not None and row.high is not None else ""


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
