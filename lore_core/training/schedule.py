"""What happens at which step: pure functions of the step, so that a resumed run needs no state but its number."""

import functools
import math
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


def batch_indices(step: int, examples: int, optimizer: Optimizer) -> list[int]:
    """Example indices of one optimizer step over all ranks: each epoch is a fresh permutation of its own seed."""
    start, size = step * optimizer.batch_size, optimizer.batch_size
    return [
        int(_order(place // examples, examples, optimizer.seed)[place % examples])
        for place in range(start, start + size)
    ]


def rank_share(indices: list[int], rank: int, world: int) -> list[int]:
    """One rank's part of a step's batch; parts are equal, since gradients are averaged over ranks with equal weight."""
    if len(indices) % world:
        raise ValueError(f"optimizer.batchSize: {len(indices)} pairs cannot be shared by {world} ranks; use a multiple")
    return indices[rank::world]


def step_seed(step: int, rank: int, optimizer: Optimizer) -> int:
    """Seed of the random numbers of one step on one rank (dropout)."""
    return int(np.random.SeedSequence([optimizer.seed, step, rank]).generate_state(1)[0])


@functools.lru_cache(maxsize=2)
def _order(epoch: int, examples: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(examples)
