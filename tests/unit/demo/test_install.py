"""Why the operator did not come up, in the demo's own words."""

from typing import Any

from hack.demo.install import unready


def pod(phase: str, *conditions: dict[str, str], **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "op"}, "status": {"phase": phase, "conditions": list(conditions), **status}}


def test_a_pod_without_a_place_says_what_the_scheduler_said() -> None:
    nowhere = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes: disk pressure",
    }
    assert unready([pod("Pending", nowhere)]) == ["pod op, Pending: Unschedulable 0/1 nodes: disk pressure"]


def test_an_evicted_pod_says_why() -> None:
    assert unready([pod("Failed", reason="Evicted", message="low on disk")]) == ["pod op, Failed: Evicted low on disk"]


def test_a_container_that_waits_says_for_what() -> None:
    waits = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    placed = {"type": "PodScheduled", "status": "True"}
    assert unready([pod("Pending", placed, containerStatuses=[waits, {"state": {"running": {}}}])]) == [
        "pod op, Pending: ImagePullBackOff no such image"
    ]


def test_a_ready_pod_is_no_reason_and_a_silent_one_is_named() -> None:
    ready = pod("Running", {"type": "Ready", "status": "True"})
    assert unready([ready, pod("Running")]) == ["pod op, Running: not ready yet"]
