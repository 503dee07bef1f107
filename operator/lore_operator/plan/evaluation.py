"""RelevanceEval: one scored model or window of traffic, one verdict, bound to the digests of everything that could change it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from lore_core.jobs import GoodRateConfig, Progress, Report
from lore_operator.api import InvalidResource, parse_eval, parse_model
from lore_operator.api.v1alpha1 import RelevanceEval
from lore_operator.api.v1alpha1.common import ArtifactRef, LocalReference
from lore_operator.api.v1alpha1.eval_status import MeasuredTraffic
from lore_operator.api.v1alpha1.evaluation import EvalSpec
from lore_operator.api.v1alpha1.subject import ModelReference
from lore_operator.children.eval_job import EvalConfig, Resolved, Step, eval_config, eval_objects, is_custom
from lore_operator.children.labels import ATTEMPT, RUN, STAGE, owner_labels
from lore_operator.children.names import Attempt, eval_base, score_base
from lore_operator.children.report_access import report_access
from lore_operator.children.settings import Settings
from lore_operator.plan.attempts import Phase
from lore_operator.plan.conditions import Finding, Halt, State, timestamp
from lore_operator.plan.draft import Draft
from lore_operator.plan.failures import describe
from lore_operator.plan.frozen import effective, recorded
from lore_operator.plan.judged_tier import resolve_tier
from lore_operator.plan.override import overridden
from lore_operator.plan.runs import Run, Standing, Work, run_id
from lore_operator.plan.shards import Shards
from lore_operator.plan.types import Object, Observed, Plan, Reference
from lore_operator.plan.waits import attempt_waits

_STAGE: Final = "eval"
_SCORE: Final = "score"
_MAX_SCORES: Final = 128
_MAX_TEXT: Final = 1024
_BOUND: Final = ("benchmarkDigest", "gateSetDigest", "profileDigest", "rulesDigest", "protocol")


def references(resource: Object) -> frozenset[Reference]:
    """The model or deployment it judges, and the evaluation it compares with.

    Which model a tier serves is in the deployment's status, not in this spec: all models are looked at then.
    """
    spec = resource.get("spec") or {}
    champion = ((spec.get("champion") or {}).get("evalRef") or {}).get("name")
    model = (spec.get("modelRef") or {}).get("name")
    deployment = (spec.get("deploymentRef") or {}).get("name")
    wanted = {("RelevanceModel", model), ("RelevanceEval", champion), ("RelevanceDeployment", deployment)}
    models = {Reference("RelevanceModel", None)} if deployment else set[Reference]()
    return frozenset({Reference(kind, name) for kind, name in wanted if name} | models)


def plan(resource: Object, observed: Observed, now: datetime, settings: Settings) -> Plan:
    """What to do now for one evaluation."""
    draft, fields, alerts = Draft(resource, observed, now), dict[str, Any](), dict[str, str]()
    try:
        finding = _decide(draft, parse_eval(resource), fields, alerts, settings)
    except InvalidResource as error:
        finding = Finding(State.STALLED, error.reason, str(error))
    except Halt as halt:
        finding = halt.finding
    if finding.state is State.WORKING:  # whatever it waits for, there is no verdict yet
        finding = replace(finding, state=State.AWAITING_VERDICT)
    return draft.finish(replace(finding, alerts=alerts), fields)


def _decide(
    draft: Draft, evaluation: RelevanceEval, fields: dict[str, Any], alerts: dict[str, str], settings: Settings
) -> Finding:
    spec = evaluation.spec
    run = Run(draft, run_id(spec.run_token), spec.run_policy, suspend=spec.suspend)
    goes_by, drift = effective(spec, run.mine, settings)
    alerts |= drift
    frozen = evaluation.model_copy(update={"spec": goes_by})
    fields["startTime"] = timestamp(run.started) if run.started else None
    fields["renderedBy"] = run.rendered_by(settings.version)
    run.stop_earlier_runs()
    record = recorded(run.mine)
    if record is None and spec.suspend:
        raise Halt(State.SUSPENDED, "Suspended", "spec.suspend is true: nothing runs")
    resolved = Resolved.from_record(record) if record else resolve(draft, frozen, settings)
    fields |= _resolved_status(frozen, resolved)
    config = eval_config(frozen, resolved, f"{draft.uid}/{run.id}", settings)
    parts = _Parts(draft, frozen, run, config, resolved, settings)
    if frozen.spec.shards > 1 and (unfinished := _scoring(parts, fields)) is not None:
        return unfinished
    standing = run.advance(_work(parts, _STAGE, eval_base, "reduce" if frozen.spec.shards > 1 else "evaluate"))
    fields |= _standing_status(standing)
    return overridden(draft, spec.override, _finding(draft, run, standing, config, fields), fields)


def resolve(draft: Draft, evaluation: RelevanceEval, settings: Settings) -> Resolved:
    """What is judged, and the champion, as they are now. Halts while one of them is not there."""
    spec = evaluation.spec
    subject = Resolved(_model(draft, spec.model_ref) if spec.model_ref else None)
    if spec.deployment_ref is not None:
        model, served = resolve_tier(draft, spec.deployment_ref, settings)
        subject = Resolved(model, served=served)
    champion = spec.champion
    if champion is None:
        return subject
    if champion.eval_ref is None:
        return replace(subject, champion=champion.evidence)
    name = champion.eval_ref.name
    return replace(subject, champion_name=name, champion=_evidence(draft, name))


def _model(draft: Draft, wanted: ModelReference) -> ArtifactRef:
    found = draft.reference("RelevanceModel", wanted.name)
    if found is None:
        raise Halt(State.AWAITING_VERDICT, "AwaitingModel", f"RelevanceModel {wanted.name} does not exist yet")
    try:
        model = parse_model(found).spec
    except InvalidResource as error:
        raise Halt(State.STALLED, "InvalidModel", f"RelevanceModel {wanted.name}: {error}") from error
    if wanted.digest and wanted.digest != model.digest:
        text = f"RelevanceModel {wanted.name} has digest {model.digest}, modelRef.digest says {wanted.digest}"
        raise Halt(State.STALLED, "DigestMismatch", text)
    return ArtifactRef(uri=model.uri, digest=model.digest, secret_ref=model.secret_ref)


def _evidence(draft: Draft, name: str) -> ArtifactRef:
    found = draft.reference("RelevanceEval", name) or {}
    evidence = (found.get("status") or {}).get("evidence")
    if not evidence:
        raise Halt(State.AWAITING_VERDICT, "AwaitingChampion", f"RelevanceEval {name} has no evidence yet")
    secret = ((found.get("spec") or {}).get("workspace") or {}).get("secretRef")
    reference = LocalReference(name=secret["name"]) if secret else None
    return ArtifactRef(uri=evidence["uri"], digest=evidence["digest"], secret_ref=reference)


class _Parts(NamedTuple):
    """What an attempt of either step is rendered from."""

    draft: Draft
    evaluation: RelevanceEval
    run: Run
    config: EvalConfig
    resolved: Resolved
    settings: Settings


def _work(parts: _Parts, stage: str, base: Callable[[str], str], step: Step) -> Work:
    draft, evaluation, run, config, resolved, settings = parts

    def render(attempt: Attempt) -> list[Object]:
        own = owner_labels(draft.resource["kind"], evaluation.metadata.name)
        labels = {**own, STAGE: stage, ATTEMPT: str(attempt.number), RUN: run.id}
        return eval_objects(draft.resource, evaluation, attempt, labels, config, resolved, settings, step)

    def access(attempt: Attempt) -> list[Object]:
        return report_access(draft.resource, evaluation.spec.runner, [attempt.report], settings)

    return Work(stage, base(evaluation.metadata.name), render, access)


def _scoring(parts: _Parts, fields: dict[str, Any]) -> Finding | None:
    """What the shards are at; None once all are scored. Once a reduce step was begun they are not looked at again."""
    draft, run, total = parts.draft, parts.run, parts.evaluation.spec.shards
    records = [record for record in run.mine if record.stage == _SCORE]
    shards = Shards.of(records[-1] if records else None, total)
    fields["shards"] = shards.status()
    if any(record.stage == _STAGE for record in run.mine):
        return None
    standing = run.advance(_work(parts, _SCORE, score_base, "shards"))
    found = standing.outcome
    fields |= _standing_status(standing) | {"progress": _progress(shards.progress())}
    if found.phase is Phase.RUNNING:
        finding = _running(draft, standing, fields)
        return replace(finding, message=f"{finding.message}; {shards.told()}")
    if found.phase is Phase.SUCCEEDED:
        return None
    run.clean_up(found.ended or draft.now)
    failure = found.failure or {}
    text = f"attempt {standing.attempt.number}: {len(shards.failed)} of {total} shards failed; {describe(failure)}"
    return Finding(State.STALLED, str(failure.get("reason", "JobFailed")), text)


def _finding(draft: Draft, run: Run, standing: Standing, config: EvalConfig, fields: dict[str, Any]) -> Finding:
    found = standing.outcome
    if found.phase is Phase.RUNNING:
        return _running(draft, standing, fields)
    ended = found.ended or draft.now
    run.clean_up(ended)
    fields["completionTime"] = timestamp(ended)
    if found.phase is Phase.FAILED or found.report is None:
        failure = found.failure or {}
        text = f"attempt {standing.attempt.number}: {describe(failure)}"
        return Finding(State.STALLED, str(failure.get("reason", "JobFailed")), text)
    if wrong := mismatch(found.report, config):
        return Finding(State.STALLED, "ReportMismatch", wrong)
    fields |= _verdict_status(found.report)
    fields["failure"] = None
    return _verdict(found.report)


def _running(draft: Draft, standing: Standing, fields: dict[str, Any]) -> Finding:
    where = f"attempt {standing.attempt.number}"
    if standing.waiting:
        return Finding(State.AWAITING_VERDICT, "BackingOff", f"{where}: {standing.waiting}")
    if wait := attempt_waits(draft, standing.record):
        fields["failure"] = wait.failure(attempt=standing.attempt.number) or fields["failure"]
        return Finding(State.AWAITING_VERDICT, wait.reason, f"{where}: {wait.message}")
    return Finding(State.AWAITING_VERDICT, "AwaitingVerdict", f"{where} runs")


def mismatch(report: Report, config: EvalConfig) -> str | None:
    """What a report says it judged must be what was asked; the first difference in words."""
    for name, digest in _asked(config).items():
        if digest is not None and report.summary.get(name) != digest:
            return f"the report's {name} is {report.summary.get(name)}, asked for was {digest}"
    return _traffic_mismatch(report, config) if isinstance(config, GoodRateConfig) else None


def _traffic_mismatch(report: Report, config: GoodRateConfig) -> str | None:
    try:
        told = MeasuredTraffic.model_validate(report.summary.get("traffic"), extra="ignore")
    except ValidationError as error:
        return f"what the report says of the traffic cannot be read ({error.error_count()} errors)"
    found = (told.served, told.first_day, told.last_day, told.revision or "")
    asked = (config.served.uri, str(config.first_day), str(config.last_day), config.revision or "")
    return None if found == asked else f"the report is about {' '.join(found)}, asked for was {' '.join(asked)}"


def _asked(config: EvalConfig) -> dict[str, str | None]:
    """The digests that the report must repeat; those that are None may be any."""
    if isinstance(config, GoodRateConfig):
        judge = config.judge.identity if config.judge else None
        return {"gateSetDigest": config.gate_set_digest, "endpointDigest": judge}
    return {
        "modelDigest": config.model.digest if config.model else None,
        "endpointDigest": config.endpoint.identity if config.endpoint else None,
        "gateSetDigest": config.gate_set_digest,
        "profileDigest": config.profile.content_digest() if config.profile else None,
        "benchmarkDigest": config.benchmark.digest,
        "rulesDigest": config.rule_set.digest if config.rule_set else None,
        "championDigest": config.champion.evidence.digest if config.champion else None,
    }


def _verdict(report: Report) -> Finding:
    verdict, gates = str(report.summary.get("verdict")), _gates(report)
    refused = [gate for gate in gates if gate.get("outcome") != "Passed" and gate.get("severity") != "Advisory"]
    text = f"{_passed(gates)} gates passed{_agreement(report.summary)}"
    if details := "; ".join(f"{gate.get('name')}: {gate.get('message', '')}" for gate in refused):
        text = f"{text}; {details}"
    if verdict == "Passed":
        return Finding(State.PASSED, "Passed", text)
    reason = {"Failed": "GateFailed", "Inconclusive": "Inconclusive"}.get(verdict)
    if reason is None:
        return Finding(State.STALLED, "ReportMismatch", f"the report's verdict is {verdict}")
    return Finding(State.REFUSED, reason, text)


def _agreement(summary: Mapping[str, Any]) -> str:
    """How far a judge of served results agrees with people, in words."""
    told = _measured(summary) or {}
    if "judgeAgreement" not in told:
        return ""
    kappa = f", kappa {told['judgeKappa']}" if "judgeKappa" in told else ""
    return f"; judge and people agree on {told['judgeAgreement']} of {told['itemsBothRated']} items{kappa}"


def _passed(gates: Sequence[Mapping[str, Any]]) -> str:
    return f"{sum(gate.get('outcome') == 'Passed' for gate in gates)}/{len(gates)}"


def _gates(report: Report) -> list[dict[str, Any]]:
    gates = report.summary.get("gates")
    found = [_without_nulls(gate) for gate in gates if isinstance(gate, dict)] if isinstance(gates, list) else []
    return [gate | ({"message": str(gate["message"])[:_MAX_TEXT]} if "message" in gate else {}) for gate in found]


def _verdict_status(report: Report) -> dict[str, Any]:
    summary, gates = report.summary, _gates(report)
    scores = summary.get("scores")
    made = report.result
    return {
        "verdict": summary.get("verdict"),
        "primary": _without_nulls(summary.get("primary")),
        "gates": gates,
        "gatesPassed": _passed(gates),
        "scores": _without_nulls(scores)[:_MAX_SCORES] if isinstance(scores, list) else None,
        "timing": _without_nulls(summary.get("timing")),
        "evidence": {"uri": made.uri, "digest": made.digest} if made else None,
        "attestation": summary.get("attestation"),
        "traffic": _measured(summary),
        **{name: summary.get(name) for name in _BOUND},
    }


def _measured(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    told = summary.get("traffic")
    return MeasuredTraffic.model_validate(told, extra="ignore").to_wire() if told else None


def _without_nulls(value: Any) -> Any:
    """Status has no nulls: the API server would drop or refuse them."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _resolved_status(evaluation: RelevanceEval, resolved: Resolved) -> dict[str, Any]:
    champion = resolved.champion
    found = _subject_status(evaluation.spec, resolved)
    found["customRunner"] = True if is_custom(evaluation.spec) else None
    if champion is not None and champion.digest is not None:
        found["champion"] = {"uri": champion.uri, "digest": champion.digest}
    return found


def _subject_status(spec: EvalSpec, resolved: Resolved) -> dict[str, Any]:
    """What is judged. `model` is what gates and promotions look for: only a verdict on a model's own bytes has it."""
    model, served = resolved.model, resolved.served
    if spec.traffic is not None:
        return {"subject": spec.traffic.title}
    if model is None:
        return {"subject": spec.endpoint.model if spec.endpoint else None}
    if served is not None:
        about = served.model_dump(include={"deployment", "stratum", "backend", "model"})
        return {"subject": f"{served.deployment}/{served.stratum}", "tier": {**about, "digest": model.digest}}
    assert spec.model_ref is not None
    name = spec.model_ref.name
    return {"subject": name, "model": {"name": name, "uri": model.uri, "digest": model.digest}}


def _standing_status(standing: Standing) -> dict[str, Any]:
    report = standing.outcome.report
    return {
        "attempt": standing.attempt.number,
        "jobName": standing.attempt.job,
        "progress": _progress(report.progress if report else None),
        "failure": standing.last_failure,
    }


def _progress(found: Progress | None) -> dict[str, Any] | None:
    return found.model_dump(mode="json", by_alias=True, exclude_none=True) if found else None
