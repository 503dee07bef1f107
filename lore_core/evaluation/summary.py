"""What the operator is told: the verdict and the scores, within a report's size."""

import json
from typing import Any, Final

from lore_core.artifacts import ArtifactRef
from lore_core.evaluation.evidence import EvidenceReport
from lore_core.evaluation.scores import PRIMARY, ScoreRow
from lore_core.jobs.report import MAX_REPORT_BYTES

_SIZES: Final = ((100, 2048), (50, 1024), (20, 512), (0, 256))
"""Scores and characters a message, from the fullest form to one that always fits 64 gates."""
_ROOM: Final = MAX_REPORT_BYTES - 6 * 1024


def summary(report: EvidenceReport, evidence: ArtifactRef) -> dict[str, Any]:
    """The report's summary, shortened until it fits; the evidence holds everything."""
    for scores, characters in _SIZES:
        found = _summary(report, evidence, scores, characters)
        if len(json.dumps(found, ensure_ascii=False).encode()) <= _ROOM:
            break
    return found


def _summary(report: EvidenceReport, evidence: ArtifactRef, scores: int, characters: int) -> dict[str, Any]:
    bound = report.bound
    return {
        "verdict": report.verdict.value,
        "message": _cut(report.why, characters),
        "primary": _primary(report),
        "gates": [
            gate.model_copy(update={"message": _cut(gate.message, characters)}).model_dump(
                mode="json", by_alias=True, exclude_none=True
            )
            for gate in report.gates
        ],
        "scores": [row.model_dump(mode="json", by_alias=True, exclude_none=True) for row in report.scores[:scores]],
        "modelDigest": bound.model,
        "benchmarkDigest": bound.benchmark,
        "gateSetDigest": bound.gate_set,
        "profileDigest": bound.profile,
        **({"rulesDigest": bound.rules} if bound.rules else {}),
        **({"championDigest": bound.champion} if bound.champion else {}),
        "pairs": report.pairs,
        "queries": report.queries,
        "unparsable": report.unparsable,
        "truncated": report.truncated,
        "meanOutside": report.mean_outside,
        "evidence": {"uri": evidence.uri, "digest": evidence.digest},
    }


def _primary(report: EvidenceReport) -> dict[str, str]:
    row = next(row for row in report.scores if row.metric == PRIMARY)
    return {"name": row.metric, "value": row.value, "interval": _interval(row)}


def _interval(row: ScoreRow) -> str:
    return f"[{row.low}, {row.high}]" if row.low is not None and row.high is not None else ""


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
