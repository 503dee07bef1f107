"""How one object stands, read from its conditions as kstatus reads them."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

Condition = Mapping[str, Any]


class State(StrEnum):
    """The states that a person tells apart."""

    READY = "Ready"
    WORKING = "Working"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"
    NEW = "New"
    """The operator has not looked at this generation yet."""
    MISSING = "Missing"
    """Named by another object, and not there."""


class Standing(NamedTuple):
    """State, documented reason and the words beside it."""

    state: State
    reason: str = ""
    message: str = ""


def standing(resource: Mapping[str, Any]) -> Standing:
    """How the resource stands now."""
    status = resource.get("status") or {}
    if status.get("observedGeneration", -1) != resource["metadata"].get("generation", 1):
        return Standing(
            State.NEW, "", "the operator has not looked at it yet; is it running, and does it serve this namespace?"
        )
    ready = condition(resource, "Ready") or {}
    reason, message = str(ready.get("reason", "")), str(ready.get("message", ""))
    for type_, state in (("Reconciling", State.WORKING), ("Stalled", State.STALLED)):
        found = condition(resource, type_)
        if found and found["status"] == "True":
            return Standing(state, str(found["reason"]), str(found.get("message", "")))
    if ready.get("status") == "True":
        return Standing(State.READY, reason, message)
    return Standing(State.SUSPENDED if reason == "Suspended" else State.WORKING, reason, message)


def progress(resource: Mapping[str, Any]) -> str:
    """How far the work of now is, as its pods report it; empty where none runs."""
    status = resource.get("status") or {}
    stages = [one for one in status.get("stages") or () if one["name"] == status.get("stage")]
    for found in (*stages, status, status.get("head") or {}):
        told = found.get("progress")
        if told and int(told["step"]) < int(told["totalSteps"]):
            left = told.get("secondsRemaining")
            words = "" if left is None else f", about {max(1, round(left / 60))} min left"
            return f"{told['step']}/{told['totalSteps']} {told.get('unit', 'steps')}{words}"
    return ""


def condition(resource: Mapping[str, Any], type_: str) -> Condition | None:
    """One condition, or None."""
    return next((item for item in _conditions(resource) if item["type"] == type_), None)


def alerts(resource: Mapping[str, Any]) -> Iterator[Condition]:
    """Conditions that are true beside the state: they change nothing by themselves."""
    told = {"Ready", "Reconciling", "Stalled", "Complete", "Passed", "Available"}
    yield from (item for item in _conditions(resource) if item["type"] not in told and item["status"] == "True")


def _conditions(resource: Mapping[str, Any]) -> list[Condition]:
    return (resource.get("status") or {}).get("conditions") or []
