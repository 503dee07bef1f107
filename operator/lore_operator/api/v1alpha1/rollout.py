"""How a changed RelevanceDeployment takes over: steps, and what is judged at each."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from lore_core.jobs.config import Name
from lore_core.router.config import STRATA, Stratum
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    Duration,
    seconds,
)
from lore_operator.api.v1alpha1.schema_hints import (
    Rule,
    atomic,
    cel,
    exactly_one,
    list_map,
    list_set,
)


class PrometheusCheck(ApiModel):
    """A query of the installation's Prometheus, and the bounds of its answer."""

    model_config = ConfigDict(json_schema_extra=cel(Rule("has(self.min) || has(self.max)", "give min, max or both")))

    name: Name
    """Name of the check, for messages."""
    query: str = Field(min_length=1, max_length=2048)
    """PromQL with one number as its answer. In it ${revision}, ${stable}, ${deployment} and ${namespace} are replaced by the
    names of the new and the stable composition, the deployment and its namespace."""
    min: str | None = Field(default=None, pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=24)
    """Least value."""
    max: str | None = Field(default=None, pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=24)
    """Greatest value."""

    @model_validator(mode="after")
    def _bounded(self) -> "PrometheusCheck":
        if self.min is None and self.max is None:
            raise ValueError(f"check {self.name}: give min, max or both")
        return self


class Analysis(ApiModel):
    """What must be known of the new composition before the next step. What cannot be known holds it, and never passes.

    Counts are what all routers together saw of it since it came to them.
    """

    min_samples: int = Field(default=100, ge=1, le=100_000_000)
    """Answers (in a shadow step: mirrored questions) needed before anything is judged."""
    max_fallback_percent: int | None = Field(default=None, ge=0, le=100)
    """Most answers that needed a fallback tier."""
    max_neutral_percent: int | None = Field(default=None, ge=0, le=100)
    """Most answers that no tier gave."""
    min_agreement_percent: int | None = Field(default=None, ge=0, le=100)
    """Shadow only: least share of items with the label that the stable composition gave."""
    max_grade_difference: str | None = Field(default=None, pattern=r"^[0-9]+(\.[0-9]+)?$", max_length=24)
    """Shadow only: most mean absolute difference of grades."""
    prometheus: Annotated[tuple[PrometheusCheck, ...], *list_map("name", 16)] = ()
    """Bounds on what the installation's Prometheus (the chart's prometheus.url) answers."""
    evaluations: Annotated[tuple[Name, ...], *list_set(8)] = ()
    """RelevanceEvals that must have passed, each of a model of the new composition, or of traffic that its revision answered;
    one that failed fails the composition."""


class Step(ApiModel):
    """One step of a rollout: queries that move, or queries that are mirrored."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            exactly_one("weight", "shadow"),
            Rule("!has(self.strata) || self.strata.size() == 0 || has(self.weight)", "strata goes with weight"),
            Rule(
                "!has(self.analysis) || has(self.shadow)"
                " || (!has(self.analysis.minAgreementPercent) && !has(self.analysis.maxGradeDifference))",
                "minAgreementPercent and maxGradeDifference go with shadow",
            ),
            Rule(
                "!has(self.analysis) || has(self.weight) || !has(self.analysis.maxFallbackPercent)",
                "maxFallbackPercent goes with weight",
            ),
        )
    )

    weight: int | None = Field(default=None, ge=1, le=100)
    """Percent of queries for the new composition."""
    strata: Annotated[tuple[Stratum, ...], *list_set(3)] = ()
    """Whose queries move; all when empty. The others keep the weight of the step before."""
    shadow: int | None = Field(default=None, ge=1, le=100)
    """Percent of the stable composition's queries that the new one answers too, unseen, to be compared."""
    for_: Duration = Field(default="0s", alias="for")
    """How long at least before the next step."""
    analysis: Analysis | None = None
    """What must hold before the next step; what breaks it fails the new composition at once."""
    approval: bool = False
    """Whether a person must let the rollout pass this step (rollout.approve)."""

    @model_validator(mode="after")
    def _consistent(self) -> "Step":
        if (self.weight is None) == (self.shadow is None):
            raise ValueError("give exactly one of weight, shadow")
        if self.strata and self.weight is None:
            raise ValueError("strata goes with weight")
        found = self.analysis
        of_shadow = found is not None and (found.min_agreement_percent, found.max_grade_difference) != (None, None)
        if of_shadow and self.shadow is None:
            raise ValueError("analysis: minAgreementPercent and maxGradeDifference go with shadow")
        if found is not None and found.max_fallback_percent is not None and self.weight is None:
            raise ValueError("analysis: maxFallbackPercent goes with weight")
        return self


_ALL_AT_ONCE = "!has(self.surge) || self.surge != 'PerTier'"


class Rollout(ApiModel):
    """How a new composition takes over."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Rule(
                f"{_ALL_AT_ONCE} || !has(self.keepFor) || duration(self.keepFor) == duration('0s')",
                "surge PerTier goes without keepFor: the former predictor is gone",
            ),
            Rule(
                f"{_ALL_AT_ONCE} || !has(self.steps) || self.steps.all(s, !has(s.shadow))",
                "surge PerTier goes without shadow: the predictor to compare with is gone",
            ),
        )
    )

    steps: Annotated[tuple[Step, ...], atomic(16)] = ()
    """The way to 100; none: at once when prepared. The weight of a stratum may not fall from step to step."""
    split_by: Literal["Query", "Bucket"] = "Query"
    """What keeps to one composition while weights rise. Bucket: callers' header x-lore-bucket, so that a user stays on one side and
    business metrics of both can be told apart; a call without it goes by its query."""
    paused: bool = False
    """Hold a running rollout where it is."""
    approve: str | None = Field(default=None, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[0-9]{1,2}$", max_length=80)
    """REVISION/STEP: lets this revision pass the approval of this step (counted from 1) and of those before it."""
    prepare_deadline: Duration = "2h"
    """Longest time for building, fetching and warming."""
    surge: Literal["All", "PerTier"] = "All"
    """Where new predictors find room. All: beside the old ones. PerTier: a rollout changes the predictor of one tier, and the old
    one goes before the new one comes; the tier's queries are answered by its fallback meanwhile, and until the rollout ends."""
    on_failure: Literal["Rollback", "Pause"] = "Rollback"
    """When the new composition fails on the way. Rollback: all queries back to the stable one, and what was prepared goes.
    Pause: weights and predictors stay as they are until the spec, runToken or pinRevision says how to go on."""
    keep_for: Duration = "0s"
    """How long the former composition stays loaded, with its predictors, once the new one answers everything: going back to it
    within that time needs no preparing."""
    pin_revision: Name | None = None
    """Serve this revision of the history, whatever the spec says."""

    @model_validator(mode="after")
    def _old_predictor_goes(self) -> "Rollout":
        if self.surge == "PerTier" and seconds(self.keep_for):
            raise ValueError("rollout: surge PerTier goes without keepFor: the former predictor is gone")
        if self.surge == "PerTier" and any(step.shadow is not None for step in self.steps):
            raise ValueError("rollout: surge PerTier goes without shadow: the predictor to compare with is gone")
        return self

    @model_validator(mode="after")
    def _weights_rise(self) -> "Rollout":
        reached: dict[str, int] = dict.fromkeys(STRATA, 0)
        for number, step in enumerate(self.steps, 1):
            for stratum in (step.strata or STRATA) if step.weight is not None else ():
                if (step.weight or 0) < reached[stratum]:
                    raise ValueError(f"rollout.steps: weight of {stratum} falls in step {number}")
                reached[stratum] = step.weight or 0
        return self
