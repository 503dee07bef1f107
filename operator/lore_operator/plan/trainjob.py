"""RelevanceTrainJob: stages one after the other, each as attempts; a finished stage may be published as a RelevanceModel."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from lore_core.jobs import Report
from lore_operator.api import InvalidResource, parse_train_job
from lore_operator.api.v1alpha1 import RelevanceTrainJob
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.api.v1alpha1.train_stage import Stage
from lore_operator.children.labels import ATTEMPT, RUN, STAGE, owner_labels
from lore_operator.children.model import relevance_model
from lore_operator.children.names import Attempt, train_base
from lore_operator.children.pod import gpus_asked
from lore_operator.children.report_access import report_access
from lore_operator.children.settings import Settings
from lore_operator.children.train_config import stage_config, stage_inputs
from lore_operator.children.train_job import own_service, stage_gpus, train_objects
from lore_operator.plan.attempts import Phase, reported_hours
from lore_operator.plan.claims import check_claims, claims, unchecked
from lore_operator.plan.conditions import Finding, Halt, State, timestamp
from lore_operator.plan.draft import Draft
from lore_operator.plan.failures import describe
from lore_operator.plan.frozen import effective
from lore_operator.plan.publishing import check_key, check_names_are_free, publish
from lore_operator.plan.runs import Run, Standing, Work, run_id
from lore_operator.plan.types import Object, Observed, Plan, Reference
from lore_operator.plan.waits import attempt_waits

_MAX_METRICS: Final = 32


def references(resource: Object) -> frozenset[Reference]:
    """The models it publishes, each of which must be free or the same, and the claims that its nodes share."""
    stages = (resource.get("spec") or {}).get("stages") or []
    names = ((stage.get("publish") or {}).get("as") for stage in stages)
    return frozenset(Reference("RelevanceModel", name) for name in names if name) | claims(resource)


def plan(resource: Object, observed: Observed, now: datetime, settings: Settings) -> Plan:
    """What to do now for one train job."""
    draft, fields, alerts = Draft(resource, observed, now), dict[str, Any](), dict[str, str]()
    try:
        finding = _decide(draft, parse_train_job(resource), fields, alerts, settings)
    except InvalidResource as error:
        finding = Finding(State.STALLED, error.reason, str(error))
    except Halt as halt:
        finding = halt.finding
    return draft.finish(replace(finding, alerts=alerts), fields)


def _decide(
    draft: Draft, job: RelevanceTrainJob, fields: dict[str, Any], alerts: dict[str, str], settings: Settings
) -> Finding:
    run = Run(draft, run_id(job.spec.run_token), job.spec.run_policy, suspend=job.spec.suspend)
    spec, drift = effective(job.spec, run.mine, settings)
    alerts |= drift
    frozen = job.model_copy(update={"spec": spec})
    fields["startTime"] = timestamp(run.started) if run.started else None
    fields["renderedBy"] = run.rendered_by(settings.version)
    run.stop_earlier_runs()
    alerts |= unchecked(draft)
    if not run.mine:
        check_names_are_free(draft, frozen)
        check_claims(draft, frozen)
        _check_gpus(frozen)
    return _Stages(draft, frozen, run, fields, settings).decide()


def _check_gpus(job: RelevanceTrainJob) -> None:
    """Halts where more ranks than GPUs would start in a pod: they would die one by one after the data was loaded."""
    asked, ranks = gpus_asked(job.spec.runner.resources.to_wire()), job.spec.nodes.gpus_per_node
    if 0 < asked < ranks:
        text = f"nodes.gpusPerNode {ranks} starts as many ranks in a pod, runner.resources asks for {asked} GPUs"
        raise Halt(State.STALLED, "ImpossibleResources", f"{text}; raise the one or lower the other")


class _Stages:
    """One pass over the stages in their order."""

    def __init__(
        self, draft: Draft, job: RelevanceTrainJob, run: Run, fields: dict[str, Any], settings: Settings
    ) -> None:
        self.draft, self.job, self.run, self.fields, self.settings = draft, job, run, fields, settings
        self.results: dict[str, ArtifactRef] = {}
        self.ended = draft.now
        self.status: list[dict[str, Any]] = [{"name": stage.name, "phase": "Pending"} for stage in job.spec.stages]
        fields["stages"], fields["restarts"] = self.status, 0

    def decide(self) -> Finding:
        """The finding; the stages' status is filled in on the way."""
        for stage, status in zip(self.job.spec.stages, self.status, strict=True):
            self.fields["stage"] = stage.name
            standing = self.run.advance(self._work(stage))
            self.fields["restarts"] += standing.restarts
            self.fields["failure"] = standing.last_failure
            status |= _stage_status(standing) | self._gpu_hours(stage)
            if standing.outcome.phase is Phase.FAILED:
                return self._failed(stage, standing)
            if standing.outcome.phase is Phase.RUNNING:
                return self._running(stage, standing)
            self._finished(stage, standing, status)
        return self._complete()

    def _gpu_hours(self, stage: Stage) -> dict[str, str]:
        gpus = stage_gpus(self.job, stage)
        tried = [record for record in self.run.mine if record.stage == stage.name]
        return {"gpuHours": f"{gpus * reported_hours(tried):.3f}"} if gpus else {}

    def _work(self, stage: Stage) -> Work:
        base = train_base(self.job.metadata.name, stage.name)

        def render(attempt: Attempt) -> list[Object]:
            config = stage_config(self.job, stage, self.results, self._scope, self.settings)
            check_key(self.draft, self.job, stage, config.input_key)
            inputs = tuple(ref for ref in stage_inputs(self.job, stage, self.results).values() if ref)
            labels = self._labels(stage, attempt)
            return train_objects(self.draft.resource, self.job, stage, attempt, labels, config, inputs, self.settings)

        def access(attempt: Attempt) -> list[Object]:
            return report_access(self.draft.resource, self.job.spec.runner, [attempt.report], self.settings)

        return Work(stage.name, base, render, access, services=int(own_service(self.job, stage)))

    @property
    def _scope(self) -> str:
        return f"{self.draft.uid}/{self.run.id}"

    def _labels(self, stage: Stage, attempt: Attempt) -> dict[str, str]:
        own = owner_labels(self.draft.resource["kind"], self.job.metadata.name)
        return {**own, STAGE: stage.name, ATTEMPT: str(attempt.number), RUN: self.run.id}

    def _finished(self, stage: Stage, standing: Standing, status: dict[str, Any]) -> None:
        report = standing.outcome.report
        if report is None or report.result is None:
            raise Halt(State.STALLED, "ReportMissing", f"stage {stage.name} succeeded without a result")
        made, secret = report.result, self.job.spec.workspace.secret_ref
        result = ArtifactRef(uri=made.uri, digest=made.digest, secret_ref=secret)
        status |= {"result": {"uri": made.uri, "digest": made.digest}, "metrics": metrics(report)}
        status |= {"reused": True} if made.reused else {}
        if stage.publish:
            config = stage_config(self.job, stage, self.results, self._scope, self.settings)
            inputs = stage_inputs(self.job, stage, self.results)
            model = relevance_model(self.job, stage, result, config, inputs, report)
            publish(self.draft, stage, standing.attempt, model)
            status["published"] = stage.publish.as_
        self.results[stage.name] = result
        self.ended = standing.outcome.ended or self.ended

    def _failed(self, stage: Stage, standing: Standing) -> Finding:
        failure = standing.outcome.failure or {}
        self.run.clean_up(standing.outcome.ended or self.draft.now)
        text = f"stage {stage.name}, attempt {standing.attempt.number}: {describe(failure)}"
        return Finding(State.STALLED, str(failure.get("reason", "JobFailed")), text)

    def _running(self, stage: Stage, standing: Standing) -> Finding:
        where = f"stage {stage.name}, attempt {standing.attempt.number}"
        if standing.waiting:
            return Finding(State.WORKING, "BackingOff", f"{where}: {standing.waiting}")
        if wait := attempt_waits(self.draft, standing.record):
            failure = wait.failure(stage=stage.name, attempt=standing.attempt.number)
            self.fields["failure"] = failure or self.fields["failure"]
            return Finding(State.WORKING, wait.reason, f"{where}: {wait.message}")
        return Finding(State.WORKING, "StageRunning", where)

    def _complete(self) -> Finding:
        self.fields |= {"stage": None, "completionTime": timestamp(self.ended), "failure": None}
        self.run.clean_up(self.ended)
        published = [stage.publish.as_ for stage in self.job.spec.stages if stage.publish]
        models = f"; published {', '.join(published)}" if published else ""
        return Finding(State.COMPLETE, "Complete", f"{len(self.job.spec.stages)} stages finished{models}")


def _stage_status(standing: Standing) -> dict[str, Any]:
    report = standing.outcome.report
    found: dict[str, Any] = {
        "phase": standing.outcome.phase.value,
        "attempt": standing.attempt.number,
        "jobName": standing.attempt.job,
    }
    if report and report.progress:
        found["progress"] = report.progress.model_dump(mode="json", by_alias=True, exclude_none=True)
    if report and report.measured:
        found["metrics"] = metrics(report)
    return found


def metrics(report: Report) -> list[dict[str, str]]:
    """What a report measured last and the plain values of its summary, as strings: what fits a status."""
    told = {**report.measured, **report.summary}
    numbers = {name: value for name, value in told.items() if isinstance(value, str | int | float)}
    plain = {name: str(value) for name, value in sorted(numbers.items()) if not isinstance(value, bool)}
    return [{"name": name[:64], "value": value[:32]} for name, value in plain.items()][:_MAX_METRICS]
