"""The checker: pure judgements of a teacher's path, picture text and trace. None means it may be trained on.

A trace must be checkable from the record alone: spans verbatim, rules that were shown and fit, one step a demand of the path,
and a label that the deterministic aggregator gives (method: synthesis).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lore_core.records import Label, Pair, TraceStep, Verdict, trace_label
from lore_core.rules import NearEffect, Rule
from lore_core.rules.index import words
from lore_core.synthesis.reasons import Reason
from lore_core.synthesis.tasks import KIND, Demand

_ANSWER: Final = re.compile(
    r"(?<![a-z0-9])l[1-4](?![a-z0-9])"
    r"|\b(given|stated|provided|correct|expected)[ _]?(answer|label|grade)\b"
    r"|ground[ _]?truth|判定为|标准答案",
    re.IGNORECASE,
)
_VERDICTS: Final = frozenset(Verdict)


def check_path(path: Sequence[Demand], query: str) -> Reason | None:
    """Whether every demand is of the query's own words and the category stands among them, each dimension once."""
    if not path:
        return Reason.EMPTY
    if any(_tells(text) for demand in path for text in (demand.dimension, demand.demand)):
        return Reason.TELLS_ANSWER
    if not all(_contains(query, demand.term) for demand in path):
        return Reason.TERM_NOT_IN_QUERY
    dimensions = [demand.dimension for demand in path]
    if KIND not in dimensions:
        return Reason.DEMAND_LEFT_OUT
    return Reason.OFF_PATH if len(set(dimensions)) < len(dimensions) else None


def check_picture(picture: str) -> Reason | None:
    """Whether a picture's words keep to the picture."""
    return Reason.TELLS_ANSWER if _tells(picture) else None


def check_trace(
    pair: Pair, path: Sequence[Demand], picture: str, rules: Sequence[Rule], steps: Sequence[TraceStep], label: Label
) -> Reason | None:
    """The first thing wrong with a trace and its label; gold is looked at last, so that what it hides is counted."""
    if not steps:
        return Reason.EMPTY
    if any(_tells(f"{step.dimension} {step.demand} {step.evidence}") for step in steps):
        return Reason.TELLS_ANSWER
    shown = {rule.id: rule for rule in rules}
    wrong = _check_order(steps, path) or next(
        (found for step in steps if (found := _check_step(pair, picture, shown, step)) is not None), None
    )
    if wrong is not None:
        return wrong
    if trace_label(steps) is not label:
        return Reason.NOT_FROM_STEPS
    return None if label is pair.groundtruth else Reason.NOT_GOLD


def _check_order(steps: Sequence[TraceStep], path: Sequence[Demand]) -> Reason | None:
    """One step a demand of the path, no other; only a verdict `other` on the category may end it early."""
    found = [(step.dimension, step.demand) for step in steps]
    wanted = [(demand.dimension, demand.demand) for demand in path]
    if path and (not set(found) <= set(wanted) or len(set(found)) < len(found)):
        return Reason.OFF_PATH
    ended = any(step.dimension == KIND and step.verdict == Verdict.OTHER for step in steps)
    return Reason.DEMAND_LEFT_OUT if set(wanted) - set(found) and not ended else None


def _check_step(pair: Pair, picture: str, shown: Mapping[str, Rule], step: TraceStep) -> Reason | None:
    if step.verdict not in _VERDICTS:
        return Reason.UNKNOWN_VERDICT
    if step.verdict == Verdict.OTHER and step.dimension != KIND:
        return Reason.MISPLACED_OTHER
    if not any(_contains(text, step.evidence) for text in _sources(pair, picture, step.dimension)):
        return Reason.EVIDENCE_NOT_FOUND
    return _check_rule(shown, step) if step.rule else None


def _sources(pair: Pair, picture: str, dimension: str) -> Iterable[str]:
    """Where evidence may stand: the attribute that the dimension names, where the item has it; else any text of the item."""
    if (own := pair.cpv_sku.get(dimension)) is not None:
        return [own]
    return [pair.title, pair.shop_name, picture, *(f"{name} {text}" for name, text in pair.cpv_sku.items())]


def _check_rule(shown: Mapping[str, Rule], step: TraceStep) -> Reason | None:
    rule = shown.get(step.rule)
    if rule is None:
        return Reason.RULE_NOT_SHOWN
    if rule.dimension != step.dimension:
        return Reason.RULE_DOES_NOT_FIT
    strict = (
        rule.condition is not None and rule.condition.near is NearEffect.CONFLICT and not rule.condition.tolerance_steps
    )
    return Reason.AGAINST_RULE if strict and step.verdict == Verdict.NEAR else None


def _tells(text: str) -> bool:
    return _ANSWER.search(text) is not None


def _contains(text: str, span: str) -> bool:
    """Whether the span's words stand in the text, one after another; an empty span does not."""
    own, wanted = words(text), words(span)
    if not wanted:
        return False
    return any(own[start : start + len(wanted)] == wanted for start in range(len(own) - len(wanted) + 1))
