"""What a router tells of each composition on `/state`, so that a rollout can be judged without Prometheus."""

from collections import defaultdict
from dataclasses import dataclass

from lore_core.router.answering import NEUTRAL, Answer
from lore_core.router.config import RevisionStatistics
from lore_core.router.shadow import Comparison


@dataclass(slots=True)
class _Counts:
    answers: int = 0
    fallbacks: int = 0
    neutral: int = 0
    mirrored: int = 0
    mirrored_neutral: int = 0
    compared_items: int = 0
    agreeing_items: int = 0
    grade_difference: float = 0.0


class Statistics:
    """Counts by revision, since it came into the configuration."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, _Counts] = defaultdict(_Counts)

    def keep(self, revisions: set[str]) -> None:
        """Forget other revisions: one that comes back is judged anew."""
        for name in set(self._counts) - revisions:
            del self._counts[name]

    def answered(self, answer: Answer) -> None:
        """One answer that a caller got."""
        counts = self._counts[answer.revision]
        counts.answers += 1
        counts.fallbacks += bool(answer.fallbacks)
        counts.neutral += answer.tier == NEUTRAL

    def compared(self, comparison: Comparison) -> None:
        """One mirrored question."""
        counts = self._counts[comparison.revision]
        counts.mirrored += 1
        counts.mirrored_neutral += not comparison.answered
        counts.compared_items += comparison.items
        counts.agreeing_items += comparison.agreeing
        counts.grade_difference += comparison.grade_difference

    def told(self) -> dict[str, RevisionStatistics]:
        """As they stand on `/state`."""
        return {
            name: RevisionStatistics(
                answers=counts.answers,
                fallbacks=counts.fallbacks,
                neutral=counts.neutral,
                mirrored=counts.mirrored,
                mirrored_neutral=counts.mirrored_neutral,
                compared_items=counts.compared_items,
                agreeing_items=counts.agreeing_items,
                grade_difference=counts.grade_difference,
            )
            for name, counts in self._counts.items()
        }
