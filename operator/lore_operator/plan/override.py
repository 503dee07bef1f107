"""A person's override of a verdict: under a name, with a reason, about one piece of evidence, until a day."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lore_operator.api.v1alpha1.evaluation import Override
from lore_operator.plan.conditions import Finding, State, timestamp
from lore_operator.plan.draft import Draft


def overridden(draft: Draft, override: Override | None, finding: Finding, fields: dict[str, Any]) -> Finding:
    """The finding where an override is given: only a verdict that is no pass can be overridden, and it stays what it is."""
    if override is None or finding.state is not State.REFUSED:
        return finding
    if lacking := _lacking(draft, override, fields.get("evidence") or {}):
        return replace(finding, message=f"{finding.message}; override by {override.by} does not count: {lacking}")
    draft.wake(override.expires)
    until = timestamp(override.expires)
    fields["override"] = {"by": override.by, "reason": override.reason, "expires": until}
    text = f"{fields['verdict']}, overridden by {override.by} until {until}: {override.reason}; {finding.message}"
    return Finding(State.PASSED, "Overridden", text, finding.alerts)


def _lacking(draft: Draft, override: Override, evidence: Mapping[str, str]) -> str | None:
    if override.evidence_digest != evidence.get("digest"):
        return f"it is about evidence {override.evidence_digest}, this verdict's is {evidence.get('digest')}"
    if draft.now >= override.expires:
        return f"it expired at {timestamp(override.expires)}"
    return None
