"""RelevanceModel: the verdicts that hold for its digest, and the record of its bytes where they are to go with it."""

from datetime import datetime

from lore_operator.api import InvalidResource, parse_model
from lore_operator.children.settings import Settings
from lore_operator.plan.conditions import Finding, State
from lore_operator.plan.discard import wanted_record
from lore_operator.plan.draft import Draft
from lore_operator.plan.imported import REFUSED, imported
from lore_operator.plan.types import Object, ObjectKey, Observed, Plan, Reference

_COPIED = ("benchmarkDigest", "gateSetDigest", "profileDigest", "rulesDigest", "evidence")


def references(resource: Object) -> frozenset[Reference]:
    """Every evaluation of the namespace: a verdict is found by digest, whatever name the model had."""
    return frozenset({Reference("RelevanceEval", None)})


def plan(resource: Object, observed: Observed, now: datetime, settings: Settings) -> Plan:
    """Status, the cache of the evaluations that passed; and with deletionPolicy Delete the record that outlives the model."""
    draft, alerts = Draft(resource, observed, now), dict[str, str]()
    try:
        model = parse_model(resource)
    except InvalidResource as error:
        return draft.finish(Finding(State.STALLED, error.reason, str(error)), {})
    record = wanted_record(model)
    if record is not None and ObjectKey(record["kind"], record["metadata"]["name"]) not in observed.children:
        draft.apply(record, create_only=True)
    verdicts = [found for item in observed.references.values() if (found := _verdict(item, model.spec.digest))]
    verdicts.sort(key=_name)
    brought = imported(model, settings.trusted_keys, now)
    accepted = [one.statement for one in brought if one.statement]
    for statement in accepted:
        draft.wake(statement.expires)
    if refused := [f"{one.name}: {one.reason}: {one.message}" for one in brought if one.statement is None]:
        alerts[REFUSED] = "; ".join(refused)
    passed = len(verdicts) + len(accepted)
    text = f"{passed} evaluations passed for {model.spec.digest}" if passed else "no evaluation passed yet"
    fields = {"verdicts": verdicts[:256], "evidence": [one.status() for one in brought]}
    return draft.finish(Finding(State.REGISTERED, "Registered", text, alerts), fields)


def _verdict(evaluation: Object, digest: str) -> Object | None:
    status = evaluation.get("status") or {}
    if status.get("verdict") != "Passed" or (status.get("model") or {}).get("digest") != digest:
        return None
    return {
        "eval": evaluation["metadata"]["name"],
        **{field: status[field] for field in _COPIED if status.get(field)},
    }


def _name(verdict: Object) -> str:
    return str(verdict["eval"])
