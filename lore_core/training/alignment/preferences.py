"""Preference pairs from N samples of a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from lore_core.records import Label, trace_label
from lore_core.training.alignment.rollouts import Rollout, read_steps


@dataclass(frozen=True, slots=True)
class Preference:
    """Indices of the better and the worse of some alternatives; `margin` is how far apart they are, in grades."""

    chosen: int
    rejected: int
    margin: float


def from_samples(samples: Sequence[Rollout], gold: Label, most: int = 1) -> list[Preference]:
    """pass@N pairs of one prompt: the right answer whose steps argue for it and that is shortest, over the furthest wrong ones.

    None where all samples are right or all are wrong. An unreadable answer counts as the furthest of all.
    """
    right = [place for place, sample in enumerate(samples) if sample.label is gold]
    wrong = [place for place, sample in enumerate(samples) if sample.label is not gold]
    if not right or not wrong:
        return []
    best = min(right, key=lambda place: (not _argues(samples[place]), samples[place].tokens, place))
    worst = sorted(wrong, key=lambda place: (-_distance(samples[place], gold), place))[:most]
    return [Preference(best, place, _distance(samples[place], gold)) for place in worst]


def _argues(sample: Rollout) -> bool:
    steps = read_steps(sample.trace)
    return bool(steps) and trace_label(steps or ()) is sample.label


def _distance(sample: Rollout, gold: Label) -> float:
    return float(len(Label)) if sample.label is None else float(abs(sample.label.grade - gold.grade))
