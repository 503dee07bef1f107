"""Signed verdicts of other clusters: verified each time they are looked at, so that no cache has to be believed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lore_core.attestation import Refused, Statement, TrustedKeys
from lore_operator.api import InvalidResource, parse_model
from lore_operator.api.v1alpha1 import RelevanceModel
from lore_operator.plan.conditions import timestamp
from lore_operator.plan.types import Object

IMPORTED: Final = "imported"
REFUSED: Final = "UntrustedEvidence"
_MESSAGE: Final = 1024


@dataclass(frozen=True)
class Imported:
    """One entry of a model's `spec.evidence`: the statement where it counts, otherwise the reason and message why not."""

    name: str
    statement: Statement | None = None
    reason: str = ""
    message: str = ""

    def status(self) -> dict[str, Any]:
        """Its entry in status."""
        if self.statement is None:
            return {"name": self.name, "accepted": False, "reason": self.reason, "message": self.message}
        expires = timestamp(self.statement.expires)
        found = {"name": self.name, "accepted": True, "reason": "Accepted", "expires": expires}
        return found | {"evidence": self.statement.evidence} | _digests(self.statement)


def imported(model: RelevanceModel, keys: TrustedKeys, now: datetime) -> list[Imported]:
    """Every entry, verified."""
    return [_verified(entry.name, entry.attestation, model.spec.digest, keys, now) for entry in model.spec.evidence]


def _verified(name: str, attestation: str, digest: str, keys: TrustedKeys, now: datetime) -> Imported:
    try:
        statement = keys.verified(attestation)
        statement.check(digest, now)
    except Refused as refused:
        return Imported(name, reason=refused.reason, message=str(refused)[:_MESSAGE])
    return Imported(name, statement)


def evaluations_of(models: Iterable[Object], keys: TrustedKeys, now: datetime) -> tuple[list[Object], list[datetime]]:
    """The verdicts that models bring, in the shape of evaluations, and when each ends; refused ones carry the reason."""
    found: list[Object] = []
    ends: list[datetime] = []
    for resource in models:
        try:
            model = parse_model(resource)
        except InvalidResource:
            continue  # whoever needs this model says so
        for one in imported(model, keys, now):
            found.append(_evaluation(model, one))
            ends += [one.statement.expires] if one.statement else []
    return found, ends


def _evaluation(model: RelevanceModel, one: Imported) -> Object:
    status: dict[str, Any] = {"model": {"name": model.metadata.name, "digest": model.spec.digest}}
    if (statement := one.statement) is None:
        status["refused"] = f"it is refused: {one.reason}: {one.message}"
    else:
        status |= {"verdict": statement.verdict, "evidence": {"digest": statement.evidence}}
        status |= {"protocol": statement.protocol, "customRunner": statement.custom_runner, **_digests(statement)}
    return {"metadata": {"name": f"{one.name} (signed, of {model.metadata.name})"}, "status": status, IMPORTED: True}


def _digests(statement: Statement) -> dict[str, str]:
    found = {
        "benchmarkDigest": statement.benchmark,
        "gateSetDigest": statement.gate_set,
        "profileDigest": statement.profile,
        "rulesDigest": statement.rules,
    }
    return {name: digest for name, digest in found.items() if digest is not None}
