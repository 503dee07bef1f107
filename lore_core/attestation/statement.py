"""What is signed: a verdict, the digests it is bound to, and how long it may be relied on."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, model_validator

from lore_core.artifacts.ref import Digest
from lore_core.jobs.config import WireModel


class Refused(Exception):
    """An attestation that is not taken; `reason` is a documented CamelCase reason, the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Statement(WireModel):
    """A verdict of one evaluation; times are UTC. Everything that a gate compares is here, so no report need be fetched."""

    format_version: Literal[1] = 1
    evaluation: str
    verdict: Literal["Passed", "Failed", "Inconclusive"]
    evidence: Digest
    model: Digest
    benchmark: Digest
    gate_set: Digest
    profile: Digest
    rules: Digest | None = None
    protocol: str
    custom_runner: bool = False
    issued: AwareDatetime
    expires: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> "Statement":
        if self.expires <= self.issued:
            raise ValueError("expires: must lie after issued")
        return self

    def check(self, model: str, now: datetime) -> None:
        """Refuse a statement about another model, an expired one, and one that is no pass. Raises Refused."""
        if self.model != model:
            raise Refused(
                "EvidenceForOtherModel", f"it judged {self.model}, this model is {model}; promote its own verdict"
            )
        if now >= self.expires:
            when = self.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise Refused("EvidenceExpired", f"it expired at {when}; evaluate again and promote the new verdict")
        if self.verdict != "Passed":
            raise Refused("EvidenceNotPassed", f"its verdict is {self.verdict}")
