"""An evaluation as the answer that a gate elsewhere reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from lore_operator.plan.conditions import moment

_COPIED: Final = (
    *(
        "subject",
        "model",
        "tier",
        "traffic",
        "primary",
        "gates",
        "gatesPassed",
        "evidence",
        "champion",
        "protocol",
        "customRunner",
    ),
    *("benchmarkDigest", "gateSetDigest", "profileDigest", "rulesDigest"),
)


def answer(evaluation: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The verdict and what it is bound to.

    `outcome` is what to decide by: the verdict, Passed where an override holds now, Pending without a verdict. Whether an
    override holds is judged by the clock here, so that an operator that is away lets none live longer.
    """
    metadata, status = evaluation["metadata"], evaluation.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    ready, verdict = conditions.get("Ready", {}), status.get("verdict")
    override = status.get("override") or {}
    holds = bool(override) and moment(override["expires"]) > now
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "outcome": "Passed" if verdict and holds else verdict or "Pending",
        "verdict": verdict,
        "reason": ready.get("reason"),
        "message": ready.get("message"),
        "specDrift": conditions.get("SpecDrift", {}).get("status") == "True",
        **({"override": override} if holds else {}),
        **{name: status[name] for name in _COPIED if status.get(name) is not None},
    }
