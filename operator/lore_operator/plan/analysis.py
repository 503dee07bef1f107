"""Whether a candidate's statistics allow the next step: fallbacks, neutral answers, and in shadow the agreement of both."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lore_core.router.config import RevisionStatistics
from lore_operator.api.v1alpha1.deployment import Analysis
from lore_operator.plan.types import RouterEndpoint

_PERCENT: Final = 100


class Outcome(Enum):
    """What statistics say."""

    PASSED = "Passed"
    FAILED = "Failed"
    TOO_FEW = "TooFew"


@dataclass(frozen=True)
class Judgement:
    """An outcome, and the figures it rests on."""

    outcome: Outcome
    message: str = ""


def statistics_of(revision: str, routers: Iterable[RouterEndpoint]) -> RevisionStatistics:
    """All routers' counts of a revision together. A router that restarted begins anew, so its earlier ones are missing."""
    told = [endpoint.state.statistics.get(revision) for endpoint in routers if endpoint.state is not None]
    found = [one.model_dump() for one in told if one is not None]
    return RevisionStatistics(**{field: sum(one[field] for one in found) for field in RevisionStatistics.model_fields})


def judged(analysis: Analysis | None, counts: RevisionStatistics, *, shadow: bool) -> Judgement:
    """Bounds count as soon as there are samples enough; without an analysis everything passes."""
    if analysis is None:
        return Judgement(Outcome.PASSED)
    samples, what = (counts.mirrored, "mirrored questions") if shadow else (counts.answers, "answers")
    if samples < analysis.min_samples or (shadow and not counts.compared_items):
        return Judgement(Outcome.TOO_FEW, f"{samples} {what} so far, {analysis.min_samples} are needed")
    broken = [text for holds, text in _bounds(analysis, counts, shadow=shadow) if not holds]
    if broken:
        return Judgement(Outcome.FAILED, f"of {samples} {what}: {'; '.join(broken)}")
    return Judgement(Outcome.PASSED)


def _bounds(analysis: Analysis, counts: RevisionStatistics, *, shadow: bool) -> Iterator[tuple[bool, str]]:
    """Each bound that is set: whether it holds, and its figures."""
    samples, neutral = (counts.mirrored, counts.mirrored_neutral) if shadow else (counts.answers, counts.neutral)
    if (most := analysis.max_neutral_percent) is not None:
        share = _PERCENT * neutral / samples
        yield share <= most, f"{share:.2f} % were answered by no tier, maxNeutralPercent {most}"
    if (most := analysis.max_fallback_percent) is not None:
        share = _PERCENT * counts.fallbacks / samples
        yield share <= most, f"{share:.2f} % needed a fallback, maxFallbackPercent {most}"
    if (least := analysis.min_agreement_percent) is not None:
        share = _PERCENT * counts.agreeing_items / counts.compared_items
        yield share >= least, f"{share:.2f} % of items got the stable one's label, minAgreementPercent {least}"
    if (bound := analysis.max_grade_difference) is not None:
        mean = counts.grade_difference / counts.compared_items
        yield mean <= float(bound), f"grades differ by {mean:.4f} on average, maxGradeDifference {bound}"
