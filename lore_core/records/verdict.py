"""From verdicts to a label: the deterministic aggregator of structured traces (arXiv 2512.03025, path following)."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from lore_core.records.label import Label
from lore_core.records.pair import TraceStep


class Verdict(StrEnum):
    """How an item answers one demand. `other` is a verdict on the kind of thing alone."""

    MATCH = "match"
    NEAR = "near"
    CONFLICT = "conflict"
    OTHER = "other"


_WORST: Final = (
    (Verdict.OTHER, Label.L1),
    (Verdict.CONFLICT, Label.L2),
    (Verdict.NEAR, Label.L3),
)


def aggregate(verdicts: Iterable[Verdict]) -> Label:
    """The worst verdict decides; no verdict but matches is L4."""
    found = set(verdicts)
    return next((label for verdict, label in _WORST if verdict in found), Label.L4)


def trace_label(trace: Iterable[TraceStep]) -> Label:
    """The label that a trace argues for. Raises ValueError for a verdict that is none of the four words."""
    return aggregate(Verdict(step.verdict) for step in trace)
