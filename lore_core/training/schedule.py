"""What happens at which step: pure functions of the step, so that a resumed run needs no state but its number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from lore_core.jobs.config import Optimizer

_FINAL_SHARE: Final = 0.05


def learning_rate(step: int, optimizer: Optimizer) -> float:
    """Linear warm-up, then a cosine down to 5 % of the peak at the last step. `step` counts from 0."""
    peak = float(optimizer.learning_rate)
    if step < optimizer.warmup_steps:
        return peak * (step + 1) / optimizer.warmup_steps
    span = max(1, optimizer.max_steps - optimizer.warmup_steps)
    progress = min(1.0, (step - optimizer.warmup_steps) / span)
    return peak * (_FINAL_SHARE + (1 - _FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * progress)))


@dataclass(frozen=True, slots=True)
class Phase:
    """From step `start` on, groups of examples are drawn without replacement; a group's members stay side by side."""

    start: int
    groups: Sequence[Sequence[int]]


class Order:
    """The batches of a stage, phase after phase."""

    def __init__(self, phases: Sequence[Phase], optimizer: Optimizer, *, together: bool = False) -> None:
        """`together`: a rank's part of a batch is a stretch of it, so that groups are not dealt out over ranks."""
        self._phases, self._optimizer, self._together = tuple(phases), optimizer, together
        self._epochs: dict[tuple[int, int], npt.NDArray[np.int64]] = {}

    @classmethod
    def plain(cls, examples: int, optimizer: Optimizer) -> "Order":
        """Every example once an epoch, in a fresh permutation."""
        return cls([Phase(0, [(index,) for index in range(examples)])], optimizer)

    def batch(self, step: int) -> list[int]:
        """Example indices of one optimizer step over all ranks."""
        number = max(place for place, phase in enumerate(self._phases) if phase.start <= step)
        size = self._optimizer.batch_size
        start, found = (step - self._phases[number].start) * size, list[int]()
        while len(found) < size:
            epoch, offset = divmod(start + len(found), len(self._epoch(number, 0)))
            found += self._epoch(number, epoch)[offset : offset + size - len(found)].tolist()
        return found

    def share(self, step: int, rank: int, world: int) -> list[int]:
        """One rank's part of a step's batch; all parts are equally large."""
        indices = self.batch(step)
        part = rank_share(indices, rank, world)
        return indices[rank * len(part) : (rank + 1) * len(part)] if self._together else part

    def _epoch(self, phase: int, epoch: int) -> npt.NDArray[np.int64]:
        """Indices of one epoch: each is a permutation of its own seed. The last two are kept."""
        if (found := self._epochs.get((phase, epoch))) is None:
            groups = self._phases[phase].groups
            key = [self._optimizer.seed, epoch] if phase == 0 else [self._optimizer.seed, epoch, phase]
            order = np.random.default_rng(key).permutation(len(groups))
            found = np.array([index for place in order for index in groups[place]], dtype=np.int64)
            self._epochs = dict([*self._epochs.items(), ((phase, epoch), found)][-2:])
        return found


def batch_indices(step: int, examples: int, optimizer: Optimizer) -> list[int]:
    """Example indices of one optimizer step over all ranks, in the plain order."""
    return Order.plain(examples, optimizer).batch(step)


def rank_share(indices: list[int], rank: int, world: int) -> list[int]:
    """One rank's part of a step's batch; parts are equal, since gradients are averaged over ranks with equal weight."""
    if len(indices) % world:
        raise ValueError(f"optimizer.batchSize: {len(indices)} pairs cannot be shared by {world} ranks; use a multiple")
    return indices[rank::world]


def step_seed(step: int, rank: int, optimizer: Optimizer) -> int:
    """Seed of the random numbers of one step on one rank (dropout)."""
    return int(np.random.SeedSequence([optimizer.seed, step, rank]).generate_state(1)[0])
