"""Until when an attempt must have shown a sign of life: its pod's first report, and each one after it."""

from datetime import datetime, timedelta
from typing import NamedTuple

from lore_core.jobs import Report
from lore_operator.api.v1alpha1.common import RunPolicy, seconds
from lore_operator.plan.attempts import Outcome, Phase, Record, has_ended, is_sharded, suspended
from lore_operator.plan.conditions import moment
from lore_operator.plan.failures import in_words


class Due(NamedTuple):
    """When the attempt has failed by its silence, and under which reason."""

    at: datetime
    reason: str


def due(record: Record, report: Report | None, policy: RunPolicy) -> Due | None:
    """The next sign of life that is waited for; None where none is, in a queue for example. Shards have none."""
    job = record.pods_job
    started = ((job or {}).get("status") or {}).get("startTime")
    if not started or has_ended(job) or is_sharded(job) or suspended(job):
        return None
    if report is None:
        return _after(moment(started), policy.start_deadline, "StartDeadlineExceeded")
    # A Job that was suspended goes on with the report that it had: its silence begins with its start.
    return _after(max(report.last_updated, moment(started)), policy.stall_deadline, "StallDeadlineExceeded")


def _after(since: datetime, deadline: str | None, reason: str) -> Due | None:
    span: timedelta | None = seconds(deadline) if deadline else None
    return Due(since + span, reason) if span is not None else None


def failed_by(record: Record, report: Report | None, missed: Due) -> Outcome:
    """The failure of an attempt that showed no sign of life in time."""
    where = {"stage": record.stage, "attempt": record.number, "reason": missed.reason}
    failure = {**where, "message": in_words(missed.reason, "")}
    return Outcome(Phase.FAILED, report, failure, True, missed.at, noted=False)
