"""Gates: pure decisions on scores. Nothing here reads, waits or knows where the scores came from.

Rules:
- A floor (`min`) and a ceiling (`max`) are decided on the point estimate; the interval is printed beside it.
- A regression is how much worse the candidate is than the champion, paired by pair id. `maxRegression` passes where the
  one-sided upper confidence bound of the regression is within it, fails where the regression itself is beyond it, and is
  inconclusive between the two: the sample cannot tell. The bound comes from the query-cluster bootstrap and never lies
  closer to the estimate than the error at the margin itself allows (`power.least_deviation`).
- Fewer than `minQueries` queries or `minSamples` pairs are inconclusive whatever the value.
- Nothing to decide on (empty slice, a class without gold labels, no champion) is what `onMissing` says; so is a pass on a slice
  whose gold is all one class, as far as the metric tells classes apart: a model that answers nothing else would pass too.
- Under rule mode `Oracle` no Required gate passes: the rules shown may contain the gold label.
- The verdict is Passed only where there is a Required gate and every one of them passed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from lore_core.evaluation.bootstrap import Interval
from lore_core.evaluation.metrics import LABELS
from lore_core.evaluation.power import LOW_POWER, bound_reach, minimum_detectable, power
from lore_core.evaluation.slices import Slice
from lore_core.jobs.config import Decimal, RuleMode, WireModel
from lore_core.jobs.evaluation import Gate

_TOLERANCE: Final = 1e-9
"""Scores are ratios of counts; their floating-point error must not decide a gate."""
_WHATEVER_GOLD: Final = frozenset(
    {"ParseRate", "LowConfidence", "Leakage", "PromptTokens", "OutputTokens", "LatencyP50", "LatencyP95", "LatencyP99"}
)
"""Metrics that gold has no part in."""
_CLASSES: Final = {
    "Accuracy2": ("L1 or L2", "L1 or L2", "L3 or L4", "L3 or L4"),
    "TierMacroF1": ("L1", "L2", *["L3 or L4"] * 2),
}
"""Which labels are one class to a metric, in the order L1 to L4; to the others each label is one."""


class Outcome(StrEnum):
    """What a gate, or all of them together, came to."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"


class GateOutcome(WireModel):
    """One gate's outcome.

    `value` is the candidate's score; `low` and `high` bound what the gate decides on: the regression for `maxRegression`, the
    score otherwise. `samples` counts pairs, or rule-flip groups for RuleFlip.
    """

    name: str
    severity: Literal["Required", "Advisory"]
    outcome: Outcome
    message: str
    metric: str
    slice: str
    value: Decimal | None = None
    champion: Decimal | None = None
    regression: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    queries: int = 0
    samples: int = 0
    minimum_detectable_regression: Decimal | None = None
    power: Decimal | None = None
    warning: str | None = None


def apply(
    gates: Sequence[Gate], scores: Slice, *, champion_name: str | None = None, rule_mode: RuleMode = RuleMode.RETRIEVED
) -> list[GateOutcome]:
    """The outcome of each gate, in the gates' order. `scores` is the whole evaluation, with the champion's where given."""
    slices: dict[tuple[object, bool], Slice] = {}
    outcomes = []
    for gate in gates:
        where, flips = _selector(gate), gate.metric == "RuleFlip"
        key = (frozenset(where.items()), flips)
        if key not in slices:  # gates on one slice share its resamples
            slices[key] = scores.narrowed(where, flips_only=flips)
        outcomes.append(_guard_oracle(_Decision(gate, slices[key], champion_name).outcome(), rule_mode))
    return outcomes


def combine(outcomes: Sequence[GateOutcome]) -> tuple[Outcome, str]:
    """The verdict and why, by the gates that decided it. Advisory gates that did not pass are named and decide nothing."""
    required = [one for one in outcomes if one.severity == "Required"]
    advice = [f"{one.name} {one.outcome}" for one in outcomes if one.severity == "Advisory" and not _passed(one)]
    aside = f"; advisory, deciding nothing: {', '.join(advice)}" if advice else ""
    if not required:
        return Outcome.INCONCLUSIVE, f"no Required gate was given, so nothing can pass{aside}"
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        if found := [one for one in required if one.outcome is outcome]:
            return outcome, "; ".join(f"{one.name}: {one.message}" for one in found) + aside
    return Outcome.PASSED, f"all {len(required)} Required gates passed{aside}"


def _passed(outcome: GateOutcome) -> bool:
    return outcome.outcome is Outcome.PASSED


def explain(outcomes: Sequence[GateOutcome]) -> list[str]:
    """The combined verdict, gate by gate in plain words: first the verdict, then a line a gate, warnings below theirs."""
    verdict, _ = combine(outcomes)
    required = [one for one in outcomes if one.severity == "Required"]
    held = sum(_passed(one) for one in required)
    lines = [f"{verdict}: {held} of {len(required)} Required gates passed"]
    for one in outcomes:
        weight = "" if one.severity == "Required" else ", Advisory, decides nothing"
        lines.append(f"  {one.outcome:<12} {one.name}{weight}: {one.message}")
        lines += [f"  {'':<12} warning: {one.warning}"] if one.warning else []
    return lines


def slice_name(gate: Gate) -> str:
    """The slice in words."""
    parts = [f"subset {gate.subset}"] if gate.subset else []
    parts += [f"{name}={value}" for name, value in sorted(gate.where.items())]
    return ", ".join(parts) or "all pairs"


def _selector(gate: Gate) -> dict[str, str]:
    return dict(gate.where) | ({"subset": gate.subset} if gate.subset else {})


def number(value: float | None) -> str | None:
    """A score as a decimal text for reports; None where undefined."""
    return None if value is None or not math.isfinite(value) else f"{round(value, 6) + 0.0:.6f}"


def _guard_oracle(outcome: GateOutcome, mode: RuleMode) -> GateOutcome:
    if mode is not RuleMode.ORACLE or outcome.severity != "Required" or outcome.outcome is not Outcome.PASSED:
        return outcome
    message = f"{outcome.message}; not counted: rule mode Oracle shows rules that may contain the gold label"
    return outcome.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "message": message})


@dataclass(frozen=True)
class _Found:
    """What a decision came to, before it is written down."""

    outcome: Outcome
    message: str
    interval: Interval | None = None
    regression: float | None = None
    deviation: float | None = None
    margin: float | None = None


class _Decision:
    """One gate on its slice, `scores`."""

    def __init__(self, gate: Gate, scores: Slice, champion_name: str | None) -> None:
        self._gate, self._slice, self._where = gate, scores, slice_name(gate)
        self._metric = (gate.metric, gate.label)
        self._confidence = float(gate.confidence)
        self._champion = champion_name or "the champion"
        self._value = self._slice.value(*self._metric)

    def outcome(self) -> GateOutcome:
        found = self._decide()
        only = self._only_class() if found.outcome is Outcome.PASSED else None
        return self._written(found if only is None else self._missing(only))

    @property
    def _title(self) -> str:
        return f"{self._gate.metric}{f' of {self._gate.label}' if self._gate.label else ''} on {self._where}"

    @property
    def _size(self) -> str:
        return f"{self._samples} {'rule-flip groups' if self._gate.metric == 'RuleFlip' else 'pairs'}, {self._queries} queries"

    @property
    def _queries(self) -> int:
        return self._slice.candidate.queries

    @property
    def _samples(self) -> int:
        table = self._slice.candidate
        return len(set(table.flip.tolist())) if self._gate.metric == "RuleFlip" else len(table)

    def _decide(self) -> _Found:
        if math.isnan(self._value):
            return self._missing(
                "no pair of the benchmark has it" if not len(self._slice.candidate) else "undefined there"
            )
        if short := self._too_few():
            return _Found(Outcome.INCONCLUSIVE, f"{self._title} is {self._value:.4f}, but {short}")
        if self._gate.max_regression is None:
            return self._bounded()
        return self._regressed(float(self._gate.max_regression))

    def _missing(self, why: str) -> _Found:
        outcome = Outcome.FAILED if self._gate.on_missing == "Fail" else Outcome.INCONCLUSIVE
        return _Found(outcome, f"{self._title}: {why} (onMissing: {self._gate.on_missing})")

    def _too_few(self) -> str | None:
        if self._queries < self._gate.min_queries:
            return f"{self._queries} queries are fewer than minQueries {self._gate.min_queries}"
        if self._samples < self._gate.min_samples:
            return f"{self._size} are fewer than minSamples {self._gate.min_samples}"
        return None

    def _bounded(self) -> _Found:
        gate, value = self._gate, self._value
        floor = gate.min is not None
        bound = str(gate.min if floor else gate.max)
        held = value >= float(bound) - _TOLERANCE if floor else value <= float(bound) + _TOLERANCE
        relation = {(True, True): "at least", (True, False): "below", (False, True): "at most", (False, False): "above"}
        interval = self._slice.value_interval(*self._metric, self._confidence)
        message = f"{self._title} is {value:.4f} {_shown(interval)}, {relation[floor, held]} {bound}; {self._size}"
        deviation = self._slice.regression_deviation(*self._metric) or self._slice.value_deviation(*self._metric)
        return _Found(Outcome.PASSED if held else Outcome.FAILED, message, interval, deviation=deviation)

    def _regressed(self, margin: float) -> _Found:
        if self._slice.champion is None:
            return self._missing("there is no champion to compare with")
        champion = self._slice.champion_value(*self._metric)
        regression = self._slice.regression(*self._metric)
        least = self._slice.least_regression_deviation(*self._metric, margin)
        interval = self._regression_interval(regression, least)
        outcome, why = self._judged(regression, interval, margin)
        message = (
            f"{self._title} is {self._value:.4f} against {champion:.4f} of {self._champion}, a regression of "
            f"{regression:.4f} {_shown(interval)}: {why} {self._gate.max_regression}; {self._size}"
        )
        spread = self._slice.regression_deviation(*self._metric)
        deviation = max(spread, least) if spread is not None else None
        return _Found(outcome, message, interval, regression, deviation, margin)

    def _regression_interval(self, regression: float, least: float) -> Interval | None:
        found = self._slice.regression_interval(*self._metric, self._confidence)
        if found is None:
            return None
        reach = bound_reach(least, self._confidence)
        return Interval(min(found.low, regression - reach), max(found.high, regression + reach))

    @staticmethod
    def _judged(regression: float, interval: Interval | None, margin: float) -> tuple[Outcome, str]:
        if regression > margin + _TOLERANCE:
            return Outcome.FAILED, "beyond the allowed"
        if interval is None or interval.high > margin + _TOLERANCE:
            return Outcome.INCONCLUSIVE, "too few data to show that it stays within the allowed"
        return Outcome.PASSED, "within the allowed"

    def _written(self, found: _Found) -> GateOutcome:
        gate, interval, deviation = self._gate, found.interval, found.deviation
        chance = None
        if found.margin is not None and deviation is not None:
            chance = power(found.margin, deviation, self._confidence)
        smallest = None if deviation is None else minimum_detectable(deviation, self._confidence)
        champion = self._slice.champion_value(*self._metric)
        return GateOutcome(
            name=gate.name,
            severity=gate.severity,
            outcome=found.outcome,
            message=found.message + _sensitivity(smallest, chance),
            metric=gate.metric + (f":{gate.label}" if gate.label else ""),
            slice=self._where,
            value=number(self._value),
            champion=number(champion),
            regression=number(found.regression),
            low=number(interval.low if interval else None),
            high=number(interval.high if interval else None),
            queries=self._queries,
            samples=self._samples,
            minimum_detectable_regression=number(smallest),
            power=number(chance),
            warning=_warning(chance, found.margin),
        )

    def _only_class(self) -> str | None:
        """Why a pass says nothing, where all gold is one class to the metric: an answer that never changes is perfect there."""
        classes = _CLASSES.get(self._gate.metric, LABELS)
        found = {classes[code] for code in set(self._slice.candidate.gold.tolist())}
        if self._gate.metric in _WHATEVER_GOLD or len(found) > 1:
            return None
        return f"every gold label is {found.pop()}: a model that answers nothing else passes too; add other pairs"


def _sensitivity(smallest: float | None, chance: float | None) -> str:
    """What the sample could have told, as the end of a message."""
    least = "" if smallest is None else f"; minimum detectable regression {smallest:.4f}"
    return least if chance is None else f"{least}; power {chance:.0%}: so often an equal model passes"


def _warning(chance: float | None, margin: float | None) -> str | None:
    if chance is None or chance >= LOW_POWER:
        return None
    return (
        f"a model equal to the champion passes maxRegression {margin:g} only {chance:.0%} of the time here; "
        "add queries or allow more"
    )


def _shown(interval: Interval | None) -> str:
    return f"[{interval.low:.4f}, {interval.high:.4f}]" if interval else "(no interval)"
