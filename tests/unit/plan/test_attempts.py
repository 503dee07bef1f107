"""ADR 0005: how an attempt stands, from its record, its report, its Job and its pods, in this order of trust."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lore_core.jobs import Failure, Phase, Report, Result
from lore_operator.children.labels import FAILURE
from lore_operator.plan.attempts import Record, outcome

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
AT = "2026-11-01T12:00:00Z"
DONE = Report(phase=Phase.SUCCEEDED, result=Result(uri="s3://a", digest="sha256:" + "a" * 64))
WRONG = Report(phase=Phase.FAILED, failure=Failure(reason="UnknownLabel", message="L9", file="train.jsonl", line=3))
CRASHED = Report(phase=Phase.FAILED, failure=Failure(reason="InternalError", message="KeyError"))
RUNS = Report(phase=Phase.RUNNING)
NOTED = {"failure": {"reason": "OOMKilled", "message": ""}, "retryable": True, "at": AT}


def record(
    report: Report | str | None, job: str | None, message: str = "", noted: dict[str, Any] | None = None
) -> Record:
    text = report.to_json() if isinstance(report, Report) else report
    annotations = {FAILURE: json.dumps(noted)} if noted else {}
    report_map = {
        "kind": "ConfigMap",
        "metadata": {"name": "r", "annotations": annotations},
        "data": {"report.json": text},
    }
    conditions = [{"type": job, "status": "True", "reason": "R", "message": message, "lastTransitionTime": AT}]
    status = {"conditions": conditions} if job in ("Complete", "Failed") else {}
    found = {"kind": "Job", "metadata": {"name": "x-a1"}, "status": status} if job else None
    return Record("sft", 1, "run", report=report_map, job=found)  # fmt: skip


@pytest.mark.parametrize(
    ("found", "phase", "reason", "retryable"),
    [
        (record(None, "Running"), "Running", None, True),
        (record(RUNS, "Running"), "Running", None, True),
        (record(DONE, "Running"), "Running", None, True),
        (record(DONE, "Complete"), "Succeeded", None, True),
        (record(DONE, "Failed"), "Succeeded", None, True),
        (record(DONE, None), "Succeeded", None, True),
        (record(RUNS, None), "Running", None, True),
        (record(WRONG, "Failed"), "Failed", "UnknownLabel", False),
        (record(WRONG, None), "Failed", "UnknownLabel", False),
        (record(CRASHED, "Failed"), "Failed", "InternalError", True),
        (record(RUNS, "Failed"), "Failed", "R", True),
        (record(RUNS, "Failed", "Pod has condition DisruptionTarget"), "Failed", "Disrupted", True),
        (record(RUNS, "Complete"), "Running", None, True),
        (record("not a report", "Complete"), "Running", None, True),
        (record('{"phase": "Succeeded"}', "Complete"), "Running", None, True),
        (record(DONE, "Complete", noted=NOTED), "Failed", "OOMKilled", True),
    ],
    ids=[
        "no report yet",
        "runs",
        "reported, other ranks still end",
        "done",
        "done, another rank fell afterwards",
        "done, Job removed",
        "Job missing",
        "wrong input",
        "wrong input, Job removed",
        "crash that another try may cure",
        "killed",
        "taken away by the cluster",
        "ended, report late",
        "ended, report unreadable",
        "ended, success without a result",
        "noted as failed before",
    ],
)
def test_how_an_attempt_stands(found: Record, phase: str, reason: str | None, retryable: bool) -> None:
    standing = outcome(found, [], NOW + timedelta(seconds=30))

    failure = standing.failure or {}
    assert (standing.phase, failure.get("reason"), standing.retryable) == (phase, reason, retryable)


@pytest.mark.parametrize("report", [RUNS, None, "not a report"], ids=["old", "none", "unreadable"])
def test_a_report_that_does_not_come_fails_the_attempt_after_a_minute(report: Report | str | None) -> None:
    standing = outcome(record(report, "Complete"), [], NOW + timedelta(seconds=61))

    assert (standing.failure or {}).get("reason") == "ReportMissing"


def test_the_pod_that_fell_first_is_named_not_the_ones_it_took_along() -> None:
    def pod(name: str, code: int, at: str) -> dict[str, Any]:
        ended = {"exitCode": code, "reason": "Error", "finishedAt": at, "message": name}
        labels = {"batch.kubernetes.io/job-name": "x-a1"}
        status = {"containerStatuses": [{"name": "lore", "state": {"terminated": ended}}]}
        return {"metadata": {"name": name, "labels": labels}, "spec": {"nodeName": "n"}, "status": status}

    pods = [pod("late", 1, "2026-11-01T11:59:59Z"), pod("first", 139, "2026-11-01T11:59:50Z")]
    failure = outcome(record(RUNS, "Failed"), pods, NOW).failure or {}

    assert (failure["pod"], failure["exitCode"], failure["reason"]) == ("first", 139, "PodFailed")
