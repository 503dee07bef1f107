"""Status is written only where its meaning changed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_operator.engine.failure import with_failure
from lore_operator.engine.status import status_patch

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
VALUES = st.recursive(st.integers() | st.text(max_size=3) | st.booleans(), lambda inner: st.lists(inner, max_size=3))
STATUS = st.recursive(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), VALUES, max_size=4),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner | VALUES, max_size=4),
)


def merged(stored: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(stored) if isinstance(stored, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


@given(STATUS, STATUS)
def test_the_patch_turns_the_stored_status_into_the_wanted_one(stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert merged(stored, status_patch(stored, wanted)) == wanted


@given(STATUS)
def test_an_equal_status_needs_no_patch(status: dict[str, Any]) -> None:
    assert status_patch(status, status) == {}


def resource(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"generation": 3}, "status": {"phase": "Working", "conditions": list(conditions)}}


READY = {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-10-01T00:00:00Z"}
RECONCILING = {"type": "Reconciling", "status": "True", "reason": "X", "lastTransitionTime": "2026-10-01T00:00:00Z"}


def test_a_failed_call_is_told_beside_what_was_known() -> None:
    found = with_failure(resource(READY), "ApiForbidden", "create jobs: no", NOW)

    assert found["conditions"][0] == READY
    assert found["conditions"][1] == {
        "type": "Reconciling",
        "status": "True",
        "reason": "ApiForbidden",
        "message": "create jobs: no",
        "lastTransitionTime": "2026-11-01T12:00:00Z",
        "observedGeneration": 3,
    }


@pytest.mark.parametrize(
    ("before", "since"),
    [
        (RECONCILING, "2026-10-01T00:00:00Z"),
        ({**RECONCILING, "status": "False"}, "2026-11-01T12:00:00Z"),
        (READY, "2026-11-01T12:00:00Z"),
    ],
    ids=["was true", "was false", "was not there"],
)
def test_the_time_of_transition_is_that_of_the_status(before: dict[str, Any], since: str) -> None:
    found = with_failure(resource(before), "ApiForbidden", "no", NOW)["conditions"][-1]

    assert found["lastTransitionTime"] == since


def test_telling_a_failure_twice_changes_nothing() -> None:
    once = with_failure(resource(READY), "ApiForbidden", "no", NOW)
    twice = with_failure({"metadata": {"generation": 3}, "status": once}, "ApiForbidden", "no", NOW)

    assert status_patch(once, twice) == {}
