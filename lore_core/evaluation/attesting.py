"""The signature of a finished evaluation, beside its evidence and in its report."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from lore_core.artifacts.ref import CredentialKeys
from lore_core.attestation import Statement, sign
from lore_core.evaluation.evidence import EvidenceReport
from lore_core.jobs import Signing
from lore_core.jobs.errors import JobError

ATTESTATION: Final = "attestation.json"
"""Beside the evidence's files and outside its digest: it says when, and the evidence does not."""


def attest(signing: Signing, report: EvidenceReport, evidence: str, now: datetime) -> str:
    """The signed statement of a verdict. Raises JobError where the key cannot be used."""
    bound, issued = report.bound, now.replace(microsecond=0)
    assert bound.model is not None
    assert bound.profile is not None  # the config holds: only a model's own verdict is signed
    statement = Statement(
        evaluation=report.evaluation,
        verdict=report.verdict.value,
        evidence=evidence,
        model=bound.model,
        benchmark=bound.benchmark,
        gate_set=bound.gate_set,
        profile=bound.profile,
        rules=bound.rules,
        protocol=str(report.decoding.get("protocol", "LabelScore")),
        custom_runner=signing.custom_runner,
        issued=issued,
        expires=issued + timedelta(seconds=signing.valid_seconds),
    )
    try:
        return sign(statement, _key(signing))
    except ValueError as error:
        raise _unusable(signing, str(error)) from error


def check_signing_key(signing: Signing | None) -> None:
    """Refuse a missing key before anything is scored. Raises JobError."""
    if signing is not None:
        _key(signing)


def _key(signing: Signing) -> bytes:
    try:
        return (Path(signing.credentials) / CredentialKeys.SIGNING_KEY).read_bytes()
    except OSError as error:
        raise _unusable(signing, f"cannot be read: {error}") from error


def _unusable(signing: Signing, why: str) -> JobError:
    return JobError(
        "BadSigningKey",
        f"signing: the Secret's key {CredentialKeys.SIGNING_KEY}: {why}; put an Ed25519 private key in PEM there",
        field="signing",
    )
