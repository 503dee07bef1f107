"""The steps of a rollout as a ladder of router states, and what holds a candidate on its rung: pure functions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from lore_core.router import config as wire
from lore_operator.api.v1alpha1.common import seconds
from lore_operator.api.v1alpha1.rollout import Rollout, Step
from lore_operator.plan.analysis import Outcome, Seen, judged

_FULL: Final = wire.StratumWeights(**dict.fromkeys(wire.STRATA, wire.FULL_WEIGHT))
_LOOK_AGAIN: Final = timedelta(seconds=10)


@dataclass(frozen=True)
class Rung:
    """A step, its number from 1, and what the candidate has on it."""

    number: int
    step: Step
    weights: wire.StratumWeights
    shadow: int | None

    @property
    def place(self) -> tuple[int, int]:
        """Rises from rung to rung."""
        return _total(self.weights), self.shadow or 0


@dataclass(frozen=True)
class Hold:
    """Why a candidate stays on its rung; `failed` ends the rollout, `wake_after` is when time or statistics may change it."""

    reason: str
    message: str
    failed: bool = False
    wake_after: timedelta | None = None


def ladder(steps: Iterable[Step]) -> tuple[Rung, ...]:
    """A rung for each step. A step moves the strata it names; the others keep the weight they have."""
    found: list[Rung] = []
    weights = dict.fromkeys(wire.STRATA, 0)
    for number, step in enumerate(steps, 1):
        if step.weight is not None:
            weights |= dict.fromkeys(step.strata or wire.STRATA, step.weight)
        found.append(Rung(number, step, wire.StratumWeights(**weights), step.shadow))
    return tuple(found)


def current(rungs: Sequence[Rung], candidate: wire.Composition) -> Rung | None:
    """The rung that a candidate stands on; None where the spec has none like it."""
    standing = (rung for rung in reversed(rungs) if (rung.weights, rung.shadow) == _state(candidate))
    return next(standing, None)


def following(rungs: Sequence[Rung], candidate: wire.Composition) -> Rung | None:
    """The next rung; None where the candidate takes over next."""
    place = (_total(candidate.weights), candidate.shadow_percent or 0)
    return next((rung for rung in rungs if rung.place > place and rung.weights != _FULL), None)


def hold(
    rung: Rung | None,
    rollout: Rollout,
    candidate: wire.Composition,
    age: timedelta,
    seen: Seen,
) -> Hold | None:
    """What keeps the candidate where it is, if anything. `age` is since when it is there."""
    verdict = judged(rung.step.analysis, seen, shadow=rung.shadow is not None) if rung else None
    if verdict is not None and verdict.outcome is Outcome.FAILED:
        return Hold(reason="AnalysisFailed", message=verdict.message, failed=True)
    if rollout.paused:
        return Hold(reason="Paused", message="rollout.paused is true: weights stay as they are")
    if rung is None:
        return None
    rest = seconds(rung.step.for_) - age
    if rest > timedelta():
        wake = min(rest, _LOOK_AGAIN) if rung.step.analysis else rest
        return Hold(reason="MovingWeight", message=f"step {rung.number} lasts {rung.step.for_}", wake_after=wake)
    if verdict is not None and verdict.outcome is Outcome.TOO_FEW:
        return Hold(reason="AwaitingSamples", message=f"step {rung.number}: {verdict.message}", wake_after=_LOOK_AGAIN)
    if verdict is not None and verdict.outcome is Outcome.INCONCLUSIVE:
        said = f"step {rung.number}: {verdict.message}"
        return Hold(reason="AnalysisInconclusive", message=said, wake_after=_LOOK_AGAIN)
    if rung.step.approval and not approved(rollout.approve, candidate.revision, rung.number):
        text = f"step {rung.number} waits for a person: set rollout.approve to {candidate.revision}/{rung.number}"
        return Hold(reason="AwaitingApproval", message=text)
    return None


def approved(given: str | None, revision: str, number: int) -> bool:
    """Whether an approval covers a step: it names this revision, and this step or a later one."""
    name, _, upto = (given or "").rpartition("/")
    return name == revision and int(upto) >= number


def _state(candidate: wire.Composition) -> tuple[wire.StratumWeights, int | None]:
    return candidate.weights, candidate.shadow_percent


def _total(weights: wire.StratumWeights) -> int:
    return sum(map(weights.of, wire.STRATA))
