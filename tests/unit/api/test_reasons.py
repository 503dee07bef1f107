"""Every reason that the code can put into a condition is documented, and nothing else is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lore_core.training.alignment.guards import Alarm
from lore_operator.api.reasons import GROUPS, PODS, REASONS
from lore_operator.engine.errors import _CONDITION_REASONS
from lore_operator.plan.waits import _HELD

ROOT = Path(__file__).resolve().parents[3]
REASON = re.compile(r"[A-Z][A-Za-z]*[a-z]")
ARGUMENT = {"Halt": 1, "Finding": 1, "_fail": 1, "JobError": 0, "Wait": 0, "in_words": 0, "Refused": 0}
"""Calls that take a reason, and where."""


def reasons_in(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        for value in (part for expression in given(node) for part in ast.walk(expression)):
            found = constants.get(value.id) if isinstance(value, ast.Name) else value
            if isinstance(found, ast.Constant) and isinstance(found.value, str) and REASON.fullmatch(found.value):
                yield found.value


def given(node: ast.AST) -> Iterator[ast.expr]:
    """Expressions that stand where a reason is given."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        at = 0 if name == "__init__" else ARGUMENT.get(name)
        yield from node.args[at : at + 1] if at is not None else ()
        yield from (word.value for word in node.keywords if word.arg == "reason" or (word.arg == "failure"))
    elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "reason" for target in node.targets):
        yield node.value
    elif isinstance(node, ast.Dict):
        yield from (v for k, v in zip(node.keys, node.values, strict=True) if getattr(k, "value", "") == "reason")


def used() -> set[str]:
    sources = [*(ROOT / "operator").rglob("*.py"), *(ROOT / "lore_core").rglob("*.py")]
    found = {reason for path in sources for reason in reasons_in(path)}
    return found | set(_CONDITION_REASONS.values()) | _HELD | {alarm.value for alarm in Alarm}


NOT_SHOWN = {"Conflict", "Unknown", "Error", "Failed", "Accepted"}
"""A pass that came too late is tried again at once; an HTTP answer without a reason; words of Kubernetes that are replaced."""


def test_every_reason_of_the_code_is_documented() -> None:
    undocumented = used() - REASONS.keys() - NOT_SHOWN

    assert not undocumented, f"add to operator/lore_operator/api/reasons.py: {sorted(undocumented)}"


KUBERNETES = {reason.name for reason in PODS}
"""What Kubernetes itself says of pods and Jobs."""
IN_TABLES = {"GateFailed", "Inconclusive", "KindNotInstalled", "ApiError", "PodStarting", "SpecDrift", "VerdictExpired"}
IN_TABLES |= {"ClaimsUnchecked", "UntrustedEvidence", "VerdictOverridden", "StrataDrifted", "Unverified"}
IN_TABLES |= {"GraphNotReady", "RouteNotAccepted", "StrataProposed", "StrataBuildFailed", "StrataAccepted"}
IN_TABLES |= {"TierResting"}
"""Reasons that the code looks up instead of naming them."""


def test_no_documented_reason_is_one_that_cannot_occur() -> None:
    assert REASONS.keys() - used() - KUBERNETES - IN_TABLES == set()


@pytest.mark.parametrize("reason", PODS, ids=lambda reason: reason.name)
def test_what_goes_wrong_with_a_pod_says_what_to_do(reason) -> None:
    assert reason.remedy


def test_no_reason_stands_in_two_groups() -> None:
    assert sum(map(len, GROUPS.values())) == len(REASONS)
