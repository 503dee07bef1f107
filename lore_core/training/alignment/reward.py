"""The verifiable reward of think-first rollouts: label, format, length, rule citation. Each part can be switched off.

The label's part knows distances: L4 for L3 is a smaller mistake than L4 for L1, since grades are ordered. The exact recipe
of LORE is not public; weights are named settings, never hidden constants.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from lore_core.records import LABELS, Label, TraceStep, trace_label
from lore_core.training.alignment.rollouts import Rollout, read_steps

_WORST = float(len(LABELS) - 1)


@dataclass(frozen=True, slots=True)
class RewardWeights:
    """Weight of each part; 0 switches it off. `length_from` and `length_to` are generated tokens."""

    label: float = 1.0
    format: float = 0.2
    length: float = 0.1
    citation: float = 0.2
    length_from: int = 48
    length_to: int = 96

    def __post_init__(self) -> None:
        if not 0 < self.length_from < self.length_to:
            raise ValueError(f"length_from {self.length_from} must be above 0 and below length_to {self.length_to}")


@dataclass(frozen=True, slots=True)
class RewardParts:
    """Each part before its weight, in [-1, 1]."""

    label: float
    format: float
    length: float
    citation: float

    def total(self, weights: RewardWeights) -> float:
        """Weighted sum."""
        return float(sum(value * getattr(weights, name) for name, value in asdict(self).items()))


def reward(rollout: Rollout, gold: Label, rules: Collection[str], weights: RewardWeights) -> RewardParts:
    """Parts of one rollout's reward. `rules` are the ids that its prompt showed."""
    steps = read_steps(rollout.trace)
    return RewardParts(
        label=-1.0 if rollout.label is None else label_reward(rollout.label, gold),
        format=_format(rollout, steps),
        length=_length(rollout.tokens, weights),
        citation=_citation(steps, rules),
    )


def label_reward(said: Label, gold: Label) -> float:
    """1 for the label itself, falling evenly to -1 for the opposite end of the scale."""
    return 1.0 - 2.0 * abs(said.grade - gold.grade) / _WORST


def reward_matrix() -> npt.NDArray[np.float64]:
    """4×4: the label's reward, said by row, gold by column, in the order L1 to L4."""
    return np.array([[label_reward(said, gold) for gold in LABELS] for said in LABELS])


def _format(rollout: Rollout, steps: Sequence[TraceStep] | None) -> float:
    """1 where every step can be read and the label follows from the verdicts, 0 where only a label stands, else -1."""
    if rollout.label is None:
        return -1.0
    return 1.0 if steps and trace_label(steps) is rollout.label else 0.0


def _length(tokens: int, weights: RewardWeights) -> float:
    """0 up to `length_from`, then evenly down to -1 at `length_to`: reinforcement should shorten reasoning, not stretch it."""
    over = (tokens - weights.length_from) / (weights.length_to - weights.length_from)
    return -min(1.0, max(0.0, over))


def _citation(steps: Sequence[TraceStep] | None, shown: Collection[str]) -> float:
    """1 where rules are cited and all of them were shown, 0 where none is, -1 where one was not shown."""
    cited = [step.rule for step in steps or () if step.rule]
    if not cited:
        return 0.0
    return 1.0 if all(rule in shown for rule in cited) else -1.0
