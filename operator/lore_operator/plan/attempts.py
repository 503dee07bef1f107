"""Attempts as they are found in the cluster, and how each ended.

The record of an attempt is its report ConfigMap: the pod's report, and annotations with which the operator notes what would
otherwise be lost with Job and pods. Status is rebuilt from it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from pydantic import ValidationError

from lore_core.jobs import REPORT_KEY, Failure, Report, shard_key
from lore_core.jobs import Phase as ReportPhase
from lore_operator.api.v1alpha1 import GROUP
from lore_operator.children.jobset import member_name
from lore_operator.children.labels import ATTEMPT, FAILURE, ROLE, RUN, SHARDS, STAGE, controlled_by
from lore_operator.plan.conditions import moment, timestamp
from lore_operator.plan.failures import PodFailure, first_failure, in_words, pods_of
from lore_operator.plan.types import Object, ObjectKey, Observed

DISRUPTED: Final = "Disrupted"
_ENDS: Final = ("Complete", "Completed", "Failed")
"""Conditions of a Job and of a JobSet that has ended."""
_REPORT_GRACE: Final = timedelta(seconds=60)
_SECONDS: Final = 3600.0
_SHARD: Final = re.compile(r"shard-([1-9]\d{0,3})\.json")
_RECHECK: Final = timedelta(seconds=5)
_TRIED_AGAIN: Final = frozenset({"InternalError", "ArtifactError", "TeacherUnavailable", "EndpointUnavailable"})
"""Reasons of a report that another try may cure; every other one says that the input is wrong."""


class Phase(StrEnum):
    """Where an attempt stands."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass
class Record:
    """The objects of one attempt that exist."""

    stage: str
    number: int
    run: str
    config: Object | None = None
    report: Object | None = None
    job: Object | None = None
    """The Job, or the JobSet around it."""
    member: Object | None = None
    """The Job that a JobSet has made."""
    others: list[Object] = field(default_factory=list)

    @property
    def objects(self) -> list[Object]:
        """All of them."""
        return [item for item in (self.config, self.report, self.job, *self.others) if item is not None]

    @property
    def pods_job(self) -> Object | None:
        """The Job whose pods are the attempt's; None while a JobSet has made none."""
        return self.member if is_jobset(self.job) else self.job

    @property
    def started(self) -> datetime | None:
        """When its first object was created."""
        times = [item["metadata"].get("creationTimestamp") for item in self.objects]
        return min((moment(text) for text in times if text), default=None)


@dataclass(frozen=True)
class Outcome:
    """How an attempt stands. `failure` is the status form; `retryable` says whether another try may help."""

    phase: Phase
    report: Report | None = None
    failure: Mapping[str, Any] | None = None
    retryable: bool = True
    ended: datetime | None = None
    disrupted: bool = False
    """Whether the cluster took the pods away: such an end does not count as a restart."""
    noted: bool = True
    """Whether the failure is written into the record already."""
    recheck: datetime | None = None


def records(observed: Observed, uid: str) -> list[Record]:
    """The resource's attempts, of all runs, oldest first."""
    found: dict[tuple[str, int], Record] = {}
    for child in observed.children.values():
        labels = child["metadata"].get("labels") or {}
        if controlled_by(child, uid) and STAGE in labels and str(labels.get(ATTEMPT, "")).isdigit():
            key = (labels[STAGE], int(labels[ATTEMPT]))
            _put(found.setdefault(key, Record(*key, run=labels.get(RUN, ""))), child, labels.get(ROLE))
    for record in found.values():
        if record.job and is_jobset(record.job):
            record.member = _made_by(record.job, observed)
    return [found[key] for key in sorted(found)]


def is_jobset(job: Object | None) -> bool:
    """Whether the pods belong to a Job that a JobSet makes."""
    return job is not None and job["kind"] == "JobSet"


def _made_by(jobset: Object, observed: Observed) -> Object | None:
    member = observed.children.get(ObjectKey("Job", member_name(jobset["metadata"]["name"])))
    return member if member and controlled_by(member, jobset["metadata"]["uid"]) else None


def _put(record: Record, child: Object, role: str | None) -> None:
    if child["kind"] in ("Job", "JobSet"):
        record.job = child
    elif child["kind"] == "ConfigMap" and role == "config":
        record.config = child
    elif child["kind"] == "ConfigMap" and role == "report":
        record.report = child
    else:
        record.others.append(child)


def outcome(record: Record, pods: Iterable[Mapping[str, Any]], now: datetime) -> Outcome:
    """How an attempt stands, from its record, its report, its Job and its pods, in this order of trust."""
    report = read_report(record.report)
    if noted := _noted(record.report):
        return _as_noted(noted, report)
    # What a JobSet says of its Job comes later and tells less than the Job itself.
    ended = _ended(record.pods_job or record.job) or taken_back(record.pods_job)
    if ended and ended["type"] == "Complete" and is_sharded(record.job):
        return Outcome(Phase.SUCCEEDED, report, ended=moment(ended["lastTransitionTime"]))
    if report and report.phase == ReportPhase.SUCCEEDED and report.result and (record.job is None or ended):
        return Outcome(Phase.SUCCEEDED, report, ended=report.last_updated)
    if ended is None and not (record.job is None and report and report.phase == ReportPhase.FAILED):
        return Outcome(Phase.RUNNING, report)
    return _ended_badly(record, report, list(pods), now)


def is_sharded(job: Object | None) -> bool:
    """Whether a Job's pods are shards, whose reports say how far each is and no result."""
    return SHARDS in ((job or {}).get("metadata", {}).get("labels") or {})


def _as_noted(noted: Mapping[str, Any], report: Report | None) -> Outcome:
    failure = noted["failure"]
    disrupted = bool(noted.get("disrupted", failure.get("reason") == DISRUPTED))
    return Outcome(Phase.FAILED, report, failure, bool(noted["retryable"]), moment(noted["at"]), disrupted)


def has_ended(job: Object | None) -> bool:
    """Whether a Job is done, well or badly."""
    return _ended(job) is not None


def _ended(job: Object | None) -> Mapping[str, Any] | None:
    conditions = ((job or {}).get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") in _ENDS and c.get("status") == "True"), None)


def suspended(job: Object | None) -> Mapping[str, Any] | None:
    """The condition of a Job or JobSet that a queue holds back."""
    conditions = ((job or {}).get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == "Suspended" and c.get("status") == "True"), None)


def taken_back(job: Object | None) -> Mapping[str, Any] | None:
    """The failure of a Job whose pods a queue made end; None of any other Job.

    To take a Job back, Kueue suspends it and clears its `startTime`. Where a pod then ends badly by its SIGTERM the Job controller
    wants to fail the Job, and cannot: the API server allows no finished Job without `startTime`. So the Job hangs until the queue
    lets it in again, gets a `startTime` after its failure, and fails then.
    """
    status = (job or {}).get("status") or {}
    conditions = status.get("conditions") or []
    failing = next((c for c in conditions if c.get("type") == "FailureTarget" and c.get("status") == "True"), None)
    if failing is None:
        return None
    started = status.get("startTime")
    return failing if not started or moment(started) > moment(failing["lastTransitionTime"]) else None


def _ended_badly(record: Record, report: Report | None, pods: list[Mapping[str, Any]], now: datetime) -> Outcome:
    job = record.pods_job or record.job
    ended = _ended(job) or taken_back(job) or {}
    at = moment(ended["lastTransitionTime"]) if ended.get("lastTransitionTime") else now
    fallen = first_failure(pods_of(job["metadata"]["name"], pods)) if job else None
    where = {"stage": record.stage, "attempt": record.number, **_pod_fields(fallen)}
    told, disrupted = _told(record, report), _taken(record, ended)
    # A rank that outlives the pod that was taken reports an error of its own, which another try would cure.
    if told and not (disrupted and told.reason in _TRIED_AGAIN):
        failure = {**where, **told.model_dump(exclude_none=True)}
        return Outcome(Phase.FAILED, report, failure, told.reason in _TRIED_AGAIN, at, noted=False)
    # Job and report come through two watches: the report may only be late.
    if ended.get("type") == "Complete" and now < at + _REPORT_GRACE:
        return Outcome(Phase.RUNNING, report, recheck=now + _RECHECK)
    failure = {**where, **_words(ended, fallen, disrupted)}
    return Outcome(Phase.FAILED, report, failure, True, at, disrupted, noted=False)


def _told(record: Record, report: Report | None) -> Failure | None:
    """The failure that pods reported; of several shards' the first that another try would not cure, else the first."""
    reports = [report, *(_shard_reports(record) if is_sharded(record.job) else ())]
    found = [one.failure for one in reports if one and one.phase == ReportPhase.FAILED and one.failure]
    return min(found, key=lambda one: one.reason in _TRIED_AGAIN, default=None)


def _shard_reports(record: Record) -> Iterator[Report]:
    """What the shards but the first say, in their order."""
    data = (record.report or {}).get("data") or {}
    numbers = sorted(int(found[1]) for key in data if (found := _SHARD.fullmatch(key)))
    yield from (report for number in numbers if (report := read_report(record.report, shard_key(number))))


def _taken(record: Record, ended: Mapping[str, Any]) -> bool:
    """Whether the cluster took the pods: it says so, or a queue had suspended what runs them, and they ended by SIGTERM."""
    if "DisruptionTarget" in str(ended.get("message", "")) or taken_back(record.pods_job):
        return True
    return bool(ended) and any(suspended(job) for job in (record.job, record.pods_job))


def _pod_fields(fallen: PodFailure | None) -> dict[str, Any]:
    if fallen is None:
        return {}
    fields = {"pod": fallen.pod, "node": fallen.node, "exitCode": fallen.exit_code}
    return {key: value for key, value in fields.items() if value is not None}


def _words(ended: Mapping[str, Any], fallen: PodFailure | None, disrupted: bool) -> dict[str, str]:
    """Reason and message where the pod itself reported none."""
    if ended.get("type") == "Complete":
        return {"reason": "ReportMissing", "message": in_words("ReportMissing", "")}
    if disrupted and not (fallen and fallen.reason == "Evicted"):
        said = (fallen and fallen.disruption) or str(ended.get("message", ""))
        return {"reason": DISRUPTED, "message": in_words(DISRUPTED, said)}
    if fallen is not None:
        return {"reason": fallen.reason, "message": fallen.message}
    reason = str(ended.get("reason") or "JobFailed")
    return {"reason": reason, "message": in_words(reason, str(ended.get("message") or ""))}


def read_report(config_map: Object | None, key: str = REPORT_KEY) -> Report | None:
    """The pod's report; None while there is none. One that does not follow the contract counts as none."""
    text = ((config_map or {}).get("data") or {}).get(key)
    try:
        return Report.model_validate_json(text, extra="ignore") if text else None
    except ValidationError:
        return None


def reported_hours(found: Iterable[Record]) -> float:
    """Hours of the pods of these attempts, each from its first report to its last."""
    reports = (read_report(record.report) for record in found)
    seconds = (max(0.0, (report.last_updated - report.started_at).total_seconds()) for report in reports if report)
    return sum(seconds) / _SECONDS


def _noted(config_map: Object | None) -> dict[str, Any] | None:
    text = ((config_map or {}).get("metadata", {}).get("annotations") or {}).get(FAILURE)
    return dict(json.loads(text)) if text else None


def note_failure(report: Object, found: Outcome) -> Object:
    """The report ConfigMap with the failure written down."""
    kept = {
        "failure": found.failure,
        "retryable": found.retryable,
        "at": timestamp(found.ended) if found.ended else None,
        "disrupted": found.disrupted,
    }
    return annotated(report, FAILURE, json.dumps(kept))


def annotated(found: Object, name: str, value: str) -> Object:
    """Our part of a stored object (its metadata) with one more annotation, to be applied; data stays the pod's."""
    metadata = found["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "ownerReferences") if key in metadata}
    ours = {key: text for key, text in (metadata.get("annotations") or {}).items() if key.startswith(f"{GROUP}/")}
    kept["annotations"] = {**ours, name: value}
    return {"apiVersion": found.get("apiVersion", "v1"), "kind": found["kind"], "metadata": kept}
