"""The condition table: what each state of a resource says in Ready, Reconciling, Stalled and its own conditions.

kstatus, Flux and Argo CD read the same three: Reconciling and Stalled exist only while they are true (Flux's contract for
conditions), and each condition names the generation that it was found for (ADR 0008).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

Status = Literal["True", "False", "Unknown"]

MAX_MESSAGE: Final = 4096
AVAILABLE: Final = "Available"
_KEPT: Final = frozenset({AVAILABLE})
"""Types that stay as they were in states that do not speak of them."""


class State(StrEnum):
    """The rows of the table."""

    WORKING = "Working"
    COMPLETE = "Complete"
    REGISTERED = "Registered"
    AWAITING_VERDICT = "AwaitingVerdict"
    PASSED = "Passed"
    REFUSED = "Refused"
    SERVING = "Serving"
    GATE_BLOCKED = "GateBlocked"
    ROLLING_OUT = "RollingOut"
    ROLLED_BACK = "RolledBack"
    SUSPENDED = "Suspended"
    STALLED = "Stalled"


class Row(NamedTuple):
    """What a state says; `own` are conditions of that kind alone."""

    ready: Status
    reconciling: bool = False
    stalled: bool = False
    own: Mapping[str, Status] = {}


TABLE: Final[Mapping[State, Row]] = {
    State.WORKING: Row("False", reconciling=True),
    State.COMPLETE: Row("True", own={"Complete": "True"}),
    State.REGISTERED: Row("True"),
    State.AWAITING_VERDICT: Row("Unknown", reconciling=True),
    State.PASSED: Row("True", own={"Passed": "True"}),
    State.REFUSED: Row("False", stalled=True, own={"Passed": "False"}),
    State.SERVING: Row("True", own={AVAILABLE: "True"}),
    State.GATE_BLOCKED: Row("False", stalled=True),
    State.ROLLING_OUT: Row("False", reconciling=True, own={AVAILABLE: "True"}),
    State.ROLLED_BACK: Row("False", stalled=True, own={AVAILABLE: "True"}),
    State.SUSPENDED: Row("Unknown"),
    State.STALLED: Row("False", stalled=True),
}


@dataclass(frozen=True)
class Finding:
    """A state with its documented reason and the details. `alerts` are further conditions that are true: type -> message."""

    state: State
    reason: str
    message: str
    alerts: Mapping[str, str] = field(default_factory=dict)
    available: bool | None = None
    """Overrides what the table says of Available, where callers are known to be served or not."""


class Halt(Exception):
    """Ends a decision early with its finding."""

    def __init__(self, state: State, reason: str, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(state, reason, message)


def conditions(
    finding: Finding, generation: int, previous: Sequence[Mapping[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    """All conditions of a resource in this state. A transition time moves only when its status does."""
    row = TABLE[finding.state]
    wanted: dict[str, Status] = {"Ready": row.ready}
    wanted |= {"Reconciling": "True"} if row.reconciling else {}
    wanted |= {"Stalled": "True"} if row.stalled else {}
    wanted |= row.own
    if finding.available is not None:
        wanted[AVAILABLE] = "True" if finding.available else "False"
    alerts = finding.alerts
    texts = {type_: (finding.reason, finding.message) for type_ in wanted} | {t: (t, m) for t, m in alerts.items()}
    found = [
        _condition(type_, status, *texts[type_], generation, previous, now)
        for type_, status in (wanted | dict.fromkeys(alerts, "True")).items()
    ]
    kept = [dict(old) for old in previous if old.get("type") in _KEPT - texts.keys()]
    return found + kept


def _condition(
    type_: str,
    status: str,
    reason: str,
    message: str,
    generation: int,
    previous: Sequence[Mapping[str, Any]],
    now: datetime,
) -> dict[str, Any]:
    old = next((item for item in previous if item.get("type") == type_), {})
    same = old.get("status") == status and old.get("lastTransitionTime")
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message[:MAX_MESSAGE],
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if same else timestamp(now),
    }


def timestamp(moment: datetime) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """The time that a Kubernetes timestamp says."""
    return datetime.fromisoformat(text)
