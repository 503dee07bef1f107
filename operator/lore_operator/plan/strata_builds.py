"""Scheduled strata builds: when the next one begins, what the latest one proposes, and whether that may serve.

Everything stands in the builds' report ConfigMaps. That a proposal was accepted is noted on its report, with the digest of
the spec's snapshot that it follows: naming another snapshot in the spec drops all proposals.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from lore_core.jobs import Phase as ReportPhase
from lore_core.jobs import Report
from lore_core.router.config import STRATA
from lore_operator.api.v1alpha1 import GROUP, RelevanceDeployment
from lore_operator.api.v1alpha1.common import ArtifactRef, RunPolicy, seconds
from lore_operator.api.v1alpha1.strata import Strata, StrataBuild, StrataGuards
from lore_operator.children.labels import ATTEMPT, RUN, STAGE, owner_labels
from lore_operator.children.names import Attempt, strata_base
from lore_operator.children.report_access import report_access
from lore_operator.children.settings import Settings
from lore_operator.children.strata_job import PURPOSE, strata_config, strata_objects
from lore_operator.plan.attempts import Outcome, Phase, Record, outcome, read_report, records
from lore_operator.plan.conditions import Halt, State, timestamp
from lore_operator.plan.runs import Run, Work
from lore_operator.plan.serving_draft import ServingDraft
from lore_operator.plan.types import Event, Object

STAGE_NAME: Final = "strata"
ACCEPTED: Final = f"{GROUP}/accepted-after"
"""Annotation of a build's report: the digest of spec.strata that its snapshot takes the place of."""
PROPOSED: Final = "StrataProposed"
BUILD_FAILED: Final = "StrataBuildFailed"
TAKES_OVER: Final = "StrataAccepted"
_POLICY: Final = RunPolicy(max_restarts=2)
_PERCENT: Final = 100


class StrataBuilds:
    """The builds of one deployment, as their records tell."""

    def __init__(self, draft: ServingDraft, deployment: RelevanceDeployment, settings: Settings) -> None:
        self._draft, self._deployment, self._settings = draft, deployment, settings
        self._named: Strata = deployment.spec.strata
        self._records = [r for r in records(draft.observed, draft.uid) if r.stage == STAGE_NAME]
        self._obstacle: Halt | None = None

    def effective(self) -> RelevanceDeployment:
        """The deployment with the snapshot that is meant to serve: the latest accepted one, or the one that the spec names."""
        accepted = self._accepted()
        if accepted is None:
            return self._deployment
        ref = self._proposed(accepted)
        strata = self._named.model_copy(update={"uri": ref.uri, "digest": ref.digest, "secret_ref": ref.secret_ref})
        spec = self._deployment.spec.model_copy(update={"strata": strata})
        return self._deployment.model_copy(update={"spec": spec})

    def advance(self, live: ArtifactRef) -> None:
        """Keep the latest build going, begin the next one at its time, accept what may serve, forget what nobody needs.

        `live` is the snapshot of the composition that serves. A build never disturbs what serves: what hinders it is told.
        """
        build = self._named.build
        if build is None:
            return
        try:
            self._run(build, live)
        except Halt as halt:
            self._obstacle = halt
        self._accept(build)
        self._forget()

    def _run(self, build: StrataBuild, live: ArtifactRef) -> None:
        latest = self._latest_run()
        if not latest:
            self._advance_run(f"{STAGE_NAME}-1", live)
            return
        phase = self._advance_run(latest[-1].run, live)
        due = self._next(build)
        if phase is Phase.RUNNING or due is None:
            return
        if self._draft.now < due:
            self._draft.wake(due)
            return
        self._advance_run(f"{STAGE_NAME}-{latest[-1].number + 1}", live)

    def _advance_run(self, name: str, live: ArtifactRef) -> Phase:
        resource, deployment, settings = self._draft.resource, self._deployment, self._settings
        assert deployment.spec.strata.build is not None
        runner = deployment.spec.strata.build.runner

        def render(attempt: Attempt) -> list[Object]:
            labels = {
                **owner_labels(resource["kind"], deployment.metadata.name),
                STAGE: STAGE_NAME,
                ATTEMPT: str(attempt.number),
                RUN: name,
            }
            config = strata_config(deployment, live, f"{self._draft.uid}/{name}")
            return strata_objects(resource, deployment, attempt, labels, config, live, settings)

        def access(attempt: Attempt) -> list[Object]:
            return report_access(resource, runner, [attempt.report], settings, PURPOSE)

        work = Work(
            STAGE_NAME, strata_base(deployment.metadata.name), render, access, runner="spec.strata.build.runner"
        )
        return Run(self._draft, name, _POLICY, stage=STAGE_NAME).advance(work).outcome.phase

    def _accept(self, build: StrataBuild) -> None:
        record = self._latest_proposal()
        if record is None or record.report is None or self._verdict(record) != "AwaitingApproval":
            return
        report = read_report(record.report)
        assert report is not None
        if self._proposed(record).digest == build.approve or not beyond(build.guards, report):
            self._draft.annotate(record.report, {ACCEPTED: self._named.digest})

    def _forget(self) -> None:
        """The latest run, the latest proposal and the accepted one stay as the record; the others go with what they left."""
        kept = {id(r) for r in (*self._latest_run(), self._latest_proposal(), self._accepted()) if r is not None}
        for record in self._records:
            if id(record) not in kept:
                for item in record.objects:
                    self._draft.delete(item)

    def fields(self) -> dict[str, Any] | None:
        """For status; None where there are no builds and never were."""
        build, accepted = self._named.build, self._accepted()
        if build is None and accepted is None:
            return None
        serving = self.effective().spec.strata
        found: dict[str, Any] = {"result": {"uri": serving.uri, "digest": serving.digest}}
        if (record := self._latest_proposal()) is not None:
            found["proposal"] = self._proposal(record)
        if latest := self._latest_run():
            found["jobName"] = Attempt(strata_base(self._deployment.metadata.name), latest[-1].number).job
            started, due = _started(latest), self._next(build)
            found |= {"lastBuild": timestamp(started)} if started else {}
            found |= {"nextBuild": timestamp(due)} if due else {}
        if (failure := self._failure()) is not None:
            found["failure"] = dict(failure)
        return found

    def alerts(self) -> dict[str, str]:
        """Conditions of their own: a proposal that waits for a person, a build that failed."""
        found = {}
        record = self._latest_proposal()
        if self._named.build is not None and record is not None and self._verdict(record) == "AwaitingApproval":
            found[PROPOSED] = self._words(self._named.build, record)
        if (failure := self._failure()) is not None:
            found[BUILD_FAILED] = (
                f"{failure['reason']}: {failure.get('message', '')}; the next build is tried at its time"
            )
        return found

    def _proposal(self, record: Record) -> dict[str, Any]:
        report, ref = read_report(record.report), self._proposed(record)
        assert report is not None
        shares, live = _shares(report, "shares"), _shares(report, "liveShares")
        found: dict[str, Any] = {
            "result": {"uri": ref.uri, "digest": ref.digest},
            "verdict": self._verdict(record),
            "shares": [
                {
                    "stratum": stratum,
                    "proposed": shares[stratum],
                    **({"live": live[stratum]} if stratum in live else {}),
                }
                for stratum in STRATA
                if stratum in shares
            ],
        }
        summary = report.summary
        found |= {"headChurn": str(summary["headChurn"])[:24]} if "headChurn" in summary else {}
        found |= {"requests": summary["requests"]} if isinstance(summary.get("requests"), int) else {}
        build = self._named.build
        if build is not None and (reasons := beyond(build.guards, report)):
            found["message"] = "; ".join(reasons)
        return found

    def _words(self, build: StrataBuild, record: Record) -> str:
        report, ref = read_report(record.report), self._proposed(record)
        assert report is not None
        reasons = "; ".join(beyond(build.guards, report))
        return f"{reasons}; to let it serve set spec.strata.build.approve to {ref.digest}, or wait for the next build"

    def _verdict(self, record: Record) -> str:
        """Accepted, AwaitingApproval, or Outdated: built beside a snapshot that no longer serves."""
        report = read_report(record.report)
        assert report is not None
        serving = self.effective().spec.strata.digest
        if self._proposed(record).digest in (serving, self._named.digest):
            return "Accepted"
        return "AwaitingApproval" if report.resolved.get("live") == serving else "Outdated"

    def _failure(self) -> Mapping[str, Any] | None:
        """What hinders builds, or why the latest one failed for good."""
        if self._obstacle is not None and self._obstacle.finding.state is State.STALLED:
            return {"reason": self._obstacle.finding.reason, "message": self._obstacle.finding.message}
        latest = self._latest_run()
        if self._named.build is None or not latest:
            return None
        found = self._outcome(latest[-1])
        ended = found.phase is Phase.FAILED and (not found.retryable or len(latest) > _POLICY.max_restarts)
        return {"message": "", **(found.failure or {"reason": "JobFailed"})} if ended else None

    def _outcome(self, record: Record) -> Outcome:
        return outcome(record, self._draft.observed.pods, self._draft.now)

    def _latest_run(self) -> list[Record]:
        """The attempts of the latest build, oldest first."""
        return [record for record in self._records if record.run == self._records[-1].run] if self._records else []

    def _latest_proposal(self) -> Record | None:
        return next((record for record in reversed(self._records) if _succeeded(record)), None)

    def _accepted(self) -> Record | None:
        """The latest build whose snapshot takes the place of the one that the spec names."""
        return next((r for r in reversed(self._records) if _succeeded(r) and self._follows(r)), None)

    def _follows(self, record: Record) -> bool:
        notes = (record.report or {}).get("metadata", {}).get("annotations") or {}
        return bool(notes.get(ACCEPTED) == self._named.digest)

    def _proposed(self, record: Record) -> ArtifactRef:
        report, workspace = read_report(record.report), self._deployment.spec.workspace
        assert report is not None
        assert report.result is not None
        secret = workspace.secret_ref if workspace else None
        return ArtifactRef(uri=report.result.uri, digest=report.result.digest, secret_ref=secret)

    def _next(self, build: StrataBuild | None) -> datetime | None:
        started = _started(self._latest_run())
        return started + _interval(build) if build is not None and started is not None else None


def _interval(build: StrataBuild) -> timedelta:
    return seconds(build.every)


def _started(run: list[Record]) -> datetime | None:
    return min((record.started for record in run if record.started), default=None)


def _succeeded(record: Record) -> bool:
    report = read_report(record.report)
    return bool(report and report.phase == ReportPhase.SUCCEEDED and report.result)


def _shares(report: Report, name: str) -> dict[str, str]:
    found = report.summary.get(name)
    return {str(key): str(value)[:24] for key, value in found.items()} if isinstance(found, Mapping) else {}


def beyond(guards: StrataGuards, report: Report) -> list[str]:
    """The guards that a proposal is beyond, in words; none where it may serve. What a report does not say is beyond."""
    found = []
    requests, churn = report.summary.get("requests"), _number(report.summary.get("headChurn"))
    if not isinstance(requests, int) or requests < guards.min_requests:
        found.append(f"the log counts {requests} requests (guards.minRequests {guards.min_requests})")
    if churn is None or _PERCENT * churn > guards.max_head_churn_percent:
        said = "unknown" if churn is None else f"{_PERCENT * churn:.1f} %"
        found.append(f"churn of the head {said} (guards.maxHeadChurnPercent {guards.max_head_churn_percent})")
    shares, live = _shares(report, "shares"), _shares(report, "liveShares")
    for stratum in STRATA:
        new, old = _number(shares.get(stratum)), _number(live.get(stratum))
        if new is None or old is None or _PERCENT * abs(new - old) > guards.max_share_points:
            said = f"{shares.get(stratum, 'unknown')} of the requests beside {live.get(stratum, 'unknown')}"
            found.append(f"{stratum} {said} (guards.maxSharePoints {guards.max_share_points})")
    return found


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def accepted_event(before: Mapping[str, Any], fields: Mapping[str, Any]) -> tuple[Event, ...]:
    """An event where another built snapshot takes over."""
    was = ((before.get("strata") or {}).get("result") or {}).get("digest")
    now = ((fields.get("strata") or {}).get("result") or {}).get("digest")
    if was is None or was == now or (fields["strata"].get("proposal") or {}).get("result", {}).get("digest") != now:
        return ()
    return (Event(TAKES_OVER, f"strata snapshot {now} takes the place of {was}"),)
