"""What a gate elsewhere is told of an evaluation."""

from datetime import UTC, datetime
from typing import Any

import pytest

from lore_operator.verdicts.answer import answer

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OVERRIDE = {"by": "ada", "reason": "a fix that cannot wait", "expires": "2026-11-02T00:00:00Z"}


def asked(**status: Any) -> dict[str, Any]:
    return answer({"metadata": {"namespace": "team", "name": "nightly"}, "spec": {}, "status": status}, NOW)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({}, "Pending"),
        ({"verdict": "Passed"}, "Passed"),
        ({"verdict": "Failed"}, "Failed"),
        ({"verdict": "Inconclusive"}, "Inconclusive"),
        ({"verdict": "Failed", "override": OVERRIDE}, "Passed"),
        ({"verdict": "Failed", "override": OVERRIDE | {"expires": "2026-11-01T00:00:00Z"}}, "Failed"),
        ({"override": OVERRIDE}, "Pending"),
    ],
    ids=["no status", "passed", "failed", "inconclusive", "overridden", "override over", "override of nothing"],
)
def test_the_outcome_is_what_to_decide_by(status: dict[str, Any], outcome: str) -> None:
    assert asked(**status)["outcome"] == outcome


def test_an_override_changes_no_verdict_and_is_told() -> None:
    found = asked(verdict="Failed", override=OVERRIDE)

    assert (found["verdict"], found["override"]["by"]) == ("Failed", "ada")


def test_an_edited_spec_is_told() -> None:
    drift = {"type": "SpecDrift", "status": "True"}
    ready = {"type": "Ready", "status": "True", "reason": "Passed", "message": "1/1 gates passed"}
    found = asked(verdict="Passed", conditions=[ready, drift])

    assert (found["specDrift"], found["reason"], found["message"]) == (True, "Passed", "1/1 gates passed")


def test_an_evaluation_that_nobody_has_looked_at_yet_is_pending() -> None:
    assert answer({"metadata": {"namespace": "team", "name": "nightly"}, "spec": {}}, NOW)["outcome"] == "Pending"
