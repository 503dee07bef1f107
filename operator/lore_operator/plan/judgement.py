"""One check of a rollout's step: an answer of Prometheus against its bounds, a verdict against the candidate's models.

What has no answer is inconclusive: a candidate that nobody measured is not a good one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from lore_operator.api.v1alpha1.rollout import PrometheusCheck
from lore_operator.plan.types import Measurement, Object


class Outcome(IntEnum):
    """What a check says, the worst last."""

    PASSED = 0
    INCONCLUSIVE = 1
    TOO_FEW = 2
    FAILED = 3


@dataclass(frozen=True)
class Judgement:
    """An outcome, and the figures it rests on."""

    outcome: Outcome
    message: str = ""


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """The worst of several, with the words of all that are as bad."""
    found = [*judgements]
    outcome = max((one.outcome for one in found), default=Outcome.PASSED)
    return Judgement(outcome, "; ".join(one.message for one in found if one.outcome is outcome and one.message))


def rendered(check: PrometheusCheck, names: Mapping[str, str]) -> str:
    """The query with names filled in. They are Kubernetes names: none can end a string of PromQL."""
    query = check.query
    for name, value in names.items():
        query = query.replace(f"${{{name}}}", value)
    return query


def measured(check: PrometheusCheck, names: Mapping[str, str], measurements: Mapping[str, Measurement]) -> Judgement:
    """One check against the answers to its query."""
    found = measurements.get(rendered(check, names), Measurement(problem="not asked yet"))
    if found.value is None:
        return Judgement(Outcome.INCONCLUSIVE, f"{check.name}: {found.problem}")
    low, high = (float(bound) if bound is not None else None for bound in (check.min, check.max))
    if (low is not None and found.value < low) or (high is not None and found.value > high):
        bounds = " and ".join(f"{word} {text}" for word, text in (("min", check.min), ("max", check.max)) if text)
        return Judgement(Outcome.FAILED, f"{check.name}: Prometheus says {found.value:g}, {bounds}")
    return Judgement(Outcome.PASSED)


def verdict(name: str, evaluation: Object | None, models: frozenset[str], revision: str | None) -> Judgement:
    """The verdict of a named evaluation of a model, or of a served tier, which must be one that the candidate serves.

    One of traffic counts where it judged what the candidate, `revision`, answered.
    """
    status: Mapping[str, Any] = (evaluation or {}).get("status") or {}
    said = status.get("verdict")
    if evaluation is None or said is None:
        why = "there is no RelevanceEval of this name" if evaluation is None else "it has no verdict yet"
        return Judgement(Outcome.INCONCLUSIVE, f"evaluation {name}: {why}")
    if (traffic := status.get("traffic")) is not None:
        if revision is None or traffic.get("revision") != revision:
            return Judgement(Outcome.INCONCLUSIVE, f"evaluation {name}: it judged no traffic of the new composition")
    elif (status.get("model") or status.get("tier") or {}).get("digest") not in models:
        return Judgement(Outcome.INCONCLUSIVE, f"evaluation {name}: it judged no model of the new composition")
    if said == "Passed" or status.get("override"):
        return Judgement(Outcome.PASSED)
    failed = said == "Failed"
    return Judgement(Outcome.FAILED if failed else Outcome.INCONCLUSIVE, f"evaluation {name}: its verdict is {said}")
