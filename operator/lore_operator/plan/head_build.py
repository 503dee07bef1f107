"""The head generation of a composition: given, or built by a Job whose attempts follow the rules of every workload."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lore_core.jobs import HeadBuildConfig, Report
from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.api.v1alpha1.common import ArtifactRef, RunPolicy
from lore_operator.children.composition import COVERAGE, GENERATION
from lore_operator.children.head_job import head_config, head_inputs, head_objects
from lore_operator.children.labels import ATTEMPT, RUN, STAGE, owner_labels
from lore_operator.children.names import Attempt, head_base
from lore_operator.children.report_access import report_access
from lore_operator.children.settings import Settings
from lore_operator.plan.attempts import Phase, records
from lore_operator.plan.conditions import Halt, State
from lore_operator.plan.revisions import Revision
from lore_operator.plan.runs import Run, Standing, Work, run_id
from lore_operator.plan.serving_draft import ServingDraft
from lore_operator.plan.types import Object
from lore_operator.plan.waits import Wait, attempt_waits

STAGE_NAME: Final = "head"
_POLICY: Final = RunPolicy(max_restarts=2)


@dataclass(frozen=True)
class Generation:
    """Whether the generation is there; if not, why."""

    ready: bool
    message: str = ""
    failure: Mapping[str, Any] | None = None
    wait: Wait | None = None


def ensure_generation(
    draft: ServingDraft,
    deployment: RelevanceDeployment,
    revision: Revision,
    fields: dict[str, Any],
    settings: Settings,
) -> Generation:
    """Build the generation that a composition lacks, and note it on its revision once it is there."""
    if revision.complete:
        return Generation(ready=True)
    if deployment.spec.rollout.pin_revision is not None:
        text = f"{revision.name} has no head generation: only compositions that were prepared can be pinned"
        raise Halt(State.STALLED, "RevisionIncomplete", text)
    config, inputs = _config(deployment, revision)
    run = Run(draft, run_id(_token(config, deployment)), _POLICY, stage=STAGE_NAME)
    run.stop_earlier_runs()
    base = head_base(deployment.metadata.name, config.input_key)

    def render(attempt: Attempt) -> list[Object]:
        labels = {
            **owner_labels(draft.resource["kind"], deployment.metadata.name),
            STAGE: STAGE_NAME,
            ATTEMPT: str(attempt.number),
            RUN: run.id,
        }
        return head_objects(draft.resource, deployment, attempt, labels, config, inputs, settings)

    def access(attempt: Attempt) -> list[Object]:
        return report_access(draft.resource, deployment.spec.runner, [attempt.report], settings)

    standing = run.advance(Work(STAGE_NAME, base, render, access))
    fields["head"] = _status(standing)
    return _judged(draft, deployment, revision, standing)


def _config(deployment: RelevanceDeployment, revision: Revision) -> tuple[HeadBuildConfig, tuple[ArtifactRef, ...]]:
    """Model and profile as the revision has them; the rest of the spec is what the revision was resolved from."""
    head = revision.recipe.head
    assert head is not None
    backend = revision.recipe.predictors[head.from_tier].backend
    config = head_config(deployment, backend.model, backend.profile)
    return config, tuple(ref for ref in head_inputs(deployment, backend.model).values() if ref is not None)


def _token(config: HeadBuildConfig, deployment: RelevanceDeployment) -> str:
    return f"{config.input_key}/{deployment.spec.run_token or ''}"


def _judged(draft: ServingDraft, deployment: RelevanceDeployment, revision: Revision, standing: Standing) -> Generation:
    outcome = standing.outcome
    if outcome.phase is Phase.SUCCEEDED and outcome.report and outcome.report.result:
        workspace = deployment.spec.workspace
        secret = workspace.secret_ref if workspace else None
        result = ArtifactRef(uri=outcome.report.result.uri, digest=outcome.report.result.digest, secret_ref=secret)
        noted = result.model_dump_json(by_alias=True, exclude_none=True)
        draft.annotate(revision.stored, {GENERATION: noted, COVERAGE: _coverage(outcome.report)})
        return Generation(ready=False, message="the generation is built and is being noted")
    if outcome.phase is Phase.FAILED:
        failure = outcome.failure or {"reason": "JobFailed", "message": ""}
        return Generation(ready=False, failure={"message": "", **failure})
    job = standing.attempt.job
    if standing.waiting:
        return Generation(ready=False, message=f"{job}: {standing.waiting}")
    wait = attempt_waits(draft, standing.record)
    if wait is None:
        return Generation(ready=False, message=f"{job} scores the candidates")
    return Generation(ready=False, message=f"{job}: {wait.message}", wait=wait)


def _status(standing: Standing) -> dict[str, Any]:
    report = standing.outcome.report
    found: dict[str, Any] = {"jobName": standing.attempt.job, "failure": standing.outcome.failure}
    if report and report.progress:
        found["progress"] = report.progress.model_dump(mode="json", by_alias=True, exclude_none=True)
    if report and report.result:
        found["result"] = {"uri": report.result.uri, "digest": report.result.digest}
        found["coverage"] = _coverage(report)
    return {name: value for name, value in found.items() if value is not None}


def _coverage(report: Report) -> str | None:
    """Share of the candidates that were scored, as the head build reports it."""
    coverage = report.summary.get("coverage")
    share = coverage.get("share") if isinstance(coverage, Mapping) else None
    return str(share)[:24] if share is not None else None


def forget_builds(draft: ServingDraft) -> None:
    """Remove the objects of builds that ended, once a later composition serves; the latest build's stay as its record."""
    built = [record for record in records(draft.observed, draft.uid) if record.stage == STAGE_NAME]
    latest = max((record.started for record in built if record.started), default=None)
    runs = {record.run for record in built if record.started == latest}
    for record in built:
        if record.run not in runs:
            for item in record.objects:
                draft.delete(item)
