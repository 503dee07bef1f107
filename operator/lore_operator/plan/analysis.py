"""Whether what is known of a candidate allows the next step: routers' counts, answers of Prometheus, verdicts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lore_core.router.config import RevisionStatistics
from lore_operator.api.v1alpha1.rollout import Analysis
from lore_operator.plan.judgement import Judgement, Outcome, measured, verdict, worst
from lore_operator.plan.types import Measurement, Object, RouterEndpoint

__all__ = ["Judgement", "Outcome", "Seen", "judged", "statistics_of"]

_PERCENT: Final = 100


def statistics_of(revision: str, routers: Iterable[RouterEndpoint]) -> RevisionStatistics:
    """All routers' counts of a revision together. A router that restarted begins anew, so its earlier ones are missing."""
    told = [endpoint.state.statistics.get(revision) for endpoint in routers if endpoint.state is not None]
    found = [one.model_dump() for one in told if one is not None]
    return RevisionStatistics(**{field: sum(one[field] for one in found) for field in RevisionStatistics.model_fields})


@dataclass(frozen=True)
class Seen:
    """What is known of a candidate: routers' counts, answers to queries, and the evaluations of the namespace by name.

    `names` are those that queries may use; `models` the digests of the models that the candidate's tiers serve.
    """

    statistics: RevisionStatistics = field(default_factory=RevisionStatistics)
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    evaluations: Mapping[str, Object] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    models: frozenset[str] = frozenset()


def judged(analysis: Analysis | None, seen: Seen, *, shadow: bool) -> Judgement:
    """Bounds count as soon as there are samples enough; without an analysis everything passes.

    One that is broken fails, whatever else is not known yet.
    """
    if analysis is None:
        return Judgement(Outcome.PASSED)
    counted = _counted(analysis, seen.statistics, shadow=shadow)
    if counted.outcome is Outcome.TOO_FEW:
        return counted
    checks = [measured(check, seen.names, seen.measurements) for check in analysis.prometheus]
    verdicts = [
        verdict(name, seen.evaluations.get(name), seen.models, seen.names.get("revision"))
        for name in analysis.evaluations
    ]
    return worst([counted, *checks, *verdicts])


def _counted(analysis: Analysis, counts: RevisionStatistics, *, shadow: bool) -> Judgement:
    """What the routers' counts say."""
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
