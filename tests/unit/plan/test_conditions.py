"""ADR 0008: the condition table, and what GitOps tools make of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lore_operator.api.v1alpha1.common import Condition
from lore_operator.plan.conditions import MAX_MESSAGE, Finding, State, conditions

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CASES = yaml.safe_load((Path(__file__).parents[2] / "fixtures/conditions.yaml").read_text(encoding="utf-8"))


def case_name(case: dict[str, Any]) -> str:
    return "-".join(map(str, (case["kind"], case["state"], *case.get("alerts", ()), *case.get("previous", ()))))


def old(types: dict[str, str]) -> list[dict[str, Any]]:
    found = [{"type": type_, "status": status, "reason": "Before"} for type_, status in types.items()]
    return [item | {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1} for item in found]


def conditions_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    alerts = {alert: "since yesterday" for alert in case.get("alerts", ())}
    finding = Finding(State(case["state"]), "Reason", "message", alerts)
    return conditions(finding, 2, old(case.get("previous", {})), NOW)


def kstatus(found: list[dict[str, Any]]) -> str:
    """What cli-utils' kstatus says of conditions: Reconciling before Stalled before Ready."""
    status = {item["type"]: item["status"] for item in found}
    if status.get("Reconciling") == "True":
        return "InProgress"
    if status.get("Stalled") == "True":
        return "Failed"
    return "Current" if status.get("Ready", "True") == "True" else "InProgress"


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_a_state_shows_exactly_these_conditions(case: dict[str, Any]) -> None:
    assert {item["type"]: item["status"] for item in conditions_of(case)} == case["conditions"]


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_kstatus_reads_the_state_as_meant(case: dict[str, Any]) -> None:
    assert kstatus(conditions_of(case)) == case["kstatus"]


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_every_condition_is_a_metav1_condition_with_its_own_generation(case: dict[str, Any]) -> None:
    kept = {"Available"} if "Available" in case.get("previous", {}) else set()
    for item in conditions_of(case):
        Condition.model_validate(item)
        assert item["observedGeneration"] == (1 if item["type"] in kept and item["reason"] == "Before" else 2)


def test_every_state_has_a_case() -> None:
    assert {case["state"] for case in CASES} == {state.value for state in State}


def test_a_transition_time_moves_only_with_the_status() -> None:
    first = conditions(Finding(State.WORKING, "One", "one"), 1, [], NOW)
    second = conditions(Finding(State.WORKING, "Two", "two"), 2, first, NOW + timedelta(hours=1))
    third = conditions(Finding(State.STALLED, "Three", "three"), 2, second, NOW + timedelta(hours=2))

    times = {item["type"]: item["lastTransitionTime"] for item in third}
    assert [item["lastTransitionTime"] for item in second] == ["2026-11-01T00:00:00Z"] * 2
    assert times == {"Ready": "2026-11-01T00:00:00Z", "Stalled": "2026-11-01T02:00:00Z"}


def test_a_long_message_is_cut_to_what_a_condition_may_hold() -> None:
    (ready, _) = conditions(Finding(State.STALLED, "Long", "x" * 100_000), 1, [], NOW)

    assert len(ready["message"]) == MAX_MESSAGE
