"""Runs and attempts: which one to keep going, when to try again, when to stop.

A run is everything under one `runToken`. Its stages are tried one attempt at a time; a failure is written into the
attempt's record before the next attempt begins.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from lore_operator.api.v1alpha1.common import RunPolicy, seconds
from lore_operator.children.config_maps import is_report
from lore_operator.children.labels import RENDERED_BY
from lore_operator.children.names import Attempt
from lore_operator.children.overrides import InvalidPodTemplate
from lore_operator.children.report_access import is_shared
from lore_operator.plan.attempts import Outcome, Phase, Record, has_ended, note_failure, outcome, records
from lore_operator.plan.conditions import Halt, State, timestamp
from lore_operator.plan.deadlines import due, failed_by
from lore_operator.plan.draft import Draft
from lore_operator.plan.types import Object

_FIRST_DELAY: Final = timedelta(seconds=10)
_LONGEST_DELAY: Final = timedelta(minutes=5)


def run_id(token: str | None) -> str:
    """A run's name on labels."""
    return hashlib.sha256((token or "").encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Standing:
    """Where a stage stands after this decision."""

    attempt: Attempt
    outcome: Outcome
    restarts: int = 0
    last_failure: Mapping[str, Any] | None = None
    """The latest failure of the stage in this run."""
    waiting: str | None = None
    """What the next attempt waits for, if it does."""
    record: Record | None = None
    """The attempt's objects as they were found; None where it is only being created."""


@dataclass(frozen=True)
class Work:
    """One stage to get done: its label, the base of its names, and what an attempt consists of.

    `render` gives the attempt's objects in the order they are created (it may raise InvalidPodTemplate); `access` what its
    pods are allowed; `services` is how many Services an attempt has beside its Job, `runner` the field that says how its
    pods are run.
    """

    stage: str
    base: str
    render: Callable[[Attempt], list[Object]]
    access: Callable[[Attempt], list[Object]]
    services: int = 0
    runner: str = "spec.runner"


class Run:
    """The attempts of the current run."""

    def __init__(
        self, draft: Draft, run: str, policy: RunPolicy, *, suspend: bool = False, stage: str | None = None
    ) -> None:
        """`run` is its name on labels. With `stage` nothing else of the resource's work is seen, nor stopped."""
        self.draft, self.policy, self.suspend = draft, policy, suspend
        self.id = run
        self.all = [record for record in records(draft.observed, draft.uid) if stage in (None, record.stage)]
        self.mine = [record for record in self.all if record.run == self.id]

    @property
    def started(self) -> datetime | None:
        """When the run's first attempt was created."""
        return min((at for record in self.mine if (at := record.started)), default=None)

    def rendered_by(self, version: str) -> str:
        """Version of the operator that rendered the newest attempt; `version`, this one's, where there is none yet."""
        configs = [record.config["metadata"] for record in self.mine if record.config]
        newest: Object = max(configs, key=_age, default={})
        return str((newest.get("annotations") or {}).get(RENDERED_BY, version))

    def stop_earlier_runs(self) -> None:
        """Two gangs never write into one workspace: the old one goes first. Halts until it is gone."""
        running = [
            record.job for record in self.all if record.run != self.id and record.job and not has_ended(record.job)
        ]
        for job in running:
            self.draft.delete(job)
        if running:
            raise Halt(State.WORKING, "AwaitingDeletion", "an earlier run is being stopped")

    def advance(self, work: Work) -> Standing:
        """Keep a stage's latest attempt going, or start the first or the next one. Halts where nothing may run."""
        tried = [record for record in self.mine if record.stage == work.stage]
        if not tried:
            return self._start(work, Standing(Attempt(work.base, 0), Outcome(Phase.RUNNING), restarts=-1))
        latest = tried[-1]
        found = outcome(latest, self.draft.observed.pods, self.draft.now)
        if found.recheck:
            self.draft.wake(found.recheck)
        found = self._in_time(latest, found)
        standing = Standing(Attempt(work.base, latest.number), found, len(tried) - 1, found.failure, record=latest)
        if found.phase is Phase.FAILED:
            return self._after_failure(work, tried, standing)
        if found.phase is Phase.RUNNING:
            self._keep(work, latest, standing.attempt)
        before = outcome(tried[-2], self.draft.observed.pods, self.draft.now) if len(tried) > 1 else None
        return replace(standing, last_failure=before.failure if before else None)

    def _in_time(self, record: Record, found: Outcome) -> Outcome:
        """The outcome, or the failure by silence of an attempt that runs."""
        expected = due(record, found.report, self.policy) if found.phase is Phase.RUNNING else None
        if expected is None:
            return found
        if self.draft.now < expected.at:
            self.draft.wake(expected.at)
            return found
        return failed_by(record, found.report, expected)

    def _after_failure(self, work: Work, tried: list[Record], standing: Standing) -> Standing:
        found, report = standing.outcome, tried[-1].report
        if report is None:
            return self._make_report(work, standing)
        if not found.noted:
            self.draft.apply(note_failure(report, found))
        stopping = self._stop(tried[-1])
        counted = self._counted(tried[:-1]) + (not found.disrupted)
        if not found.retryable or counted > self.policy.max_restarts:
            return standing
        again = (found.ended or self.draft.now) + _delay(counted)
        if self.suspend or (self.draft.now >= again and not stopping):
            return self._start(work, standing)
        if self.draft.now < again:
            self.draft.wake(again)
        text = f"attempt failed ({(found.failure or {}).get('reason')}), the next one starts at {timestamp(again)}"
        return replace(standing, outcome=replace(found, phase=Phase.RUNNING), waiting=text)

    def _make_report(self, work: Work, standing: Standing) -> Standing:
        """The attempt failed before its report was there: first something to note it on."""
        for item in self._render(work, standing.attempt):
            if is_report(item):
                self.draft.ensure(item)
        text = f"attempt failed ({(standing.outcome.failure or {}).get('reason')}), which is to be noted"
        return replace(standing, outcome=replace(standing.outcome, phase=Phase.RUNNING), waiting=text)

    def _stop(self, record: Record) -> bool:
        """Whether a failed attempt still has pods: the next one does not write beside them. They are told to end."""
        if record.job is None or has_ended(record.pods_job or record.job):
            return False
        self.draft.delete(record.job)
        return True

    def _counted(self, failed: Iterable[Record]) -> int:
        found = (outcome(record, self.draft.observed.pods, self.draft.now) for record in failed)
        return sum(not item.disrupted for item in found)

    def _start(self, work: Work, after: Standing) -> Standing:
        self._allowed(None)
        number = max((record.number for record in self.all if record.stage == work.stage), default=0) + 1
        attempt = Attempt(work.base, number)
        self._create(work, attempt)
        return Standing(attempt, Outcome(Phase.RUNNING), after.restarts + 1, after.last_failure)

    def _keep(self, work: Work, record: Record, attempt: Attempt) -> None:
        self._allowed(record.job)
        for item in record.objects:
            self.draft.find(item["kind"], item["metadata"]["name"])  # halts on one that is being deleted
        self._ensure_access(work, attempt)
        if not (record.config and record.report and record.job and len(record.others) >= work.services):
            self._create(work, attempt, repair=True)

    def _create(self, work: Work, attempt: Attempt, *, repair: bool = False) -> None:
        objects = self._render(work, attempt)
        self._ensure_access(work, attempt)
        for item in objects:
            # A ConfigMap never ends: one that is missing in an old view finds its name taken.
            self.draft.ensure(item, on_live=repair and item["kind"] != "ConfigMap", later=is_report(item))

    def _render(self, work: Work, attempt: Attempt) -> list[Object]:
        try:
            return work.render(attempt)
        except InvalidPodTemplate as error:
            raise Halt(State.STALLED, error.reason, f"{work.runner}.{error}") from error

    def _ensure_access(self, work: Work, attempt: Attempt) -> None:
        """The Role names the reports of the current attempt: it is the one child that is kept up to date."""
        for item in work.access(attempt):
            find = self.draft.find_shared if is_shared(item) else self.draft.find
            found = find(item["kind"], item["metadata"]["name"])
            if found is None or (item["kind"] == "Role" and found.get("rules") != item["rules"]):
                self.draft.apply(item)

    def _allowed(self, job: Object | None) -> None:
        """Halts, and stops the Job, where the resource is suspended or out of time."""
        if self.suspend:
            if job:
                self.draft.delete(job)
            raise Halt(State.SUSPENDED, "Suspended", "spec.suspend is true: nothing runs, finished stages are kept")
        if self.policy.active_deadline is None or self.started is None:
            return
        end = self.started + seconds(self.policy.active_deadline)
        if self.draft.now < end:
            self.draft.wake(end)
            return
        if job:
            self.draft.delete(job)
        text = f"the run took longer than runPolicy.activeDeadline {self.policy.active_deadline}; a new runToken starts again"
        raise Halt(State.STALLED, "DeadlineExceeded", text)

    def clean_up(self, ended: datetime) -> None:
        """Remove what a finished run leaves, once `ttlAfterFinished` has passed; the two ConfigMaps stay as its record."""
        if self.policy.ttl_after_finished is None:
            return
        end = ended + seconds(self.policy.ttl_after_finished)
        if self.draft.now < end:
            self.draft.wake(end)
            return
        for record in self.all:
            for item in [*([record.job] if record.job else []), *record.others]:
                self.draft.delete(item)


def _delay(failures: int) -> timedelta:
    return min(_FIRST_DELAY * (1 << max(0, failures - 1)), _LONGEST_DELAY)


def _age(metadata: Object) -> tuple[str, int]:
    """Orders what was created: times are whole seconds, within one the API server's count decides."""
    return str(metadata.get("creationTimestamp")), int(metadata.get("resourceVersion") or 0)
