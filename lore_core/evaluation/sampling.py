"""pass@k of sampled answers: what k tries at temperature 1 find, beside what k guesses among four labels would.

With four labels a coin of four sides has pass@8 = 0.90, so pass@k by itself says nothing: it is reported less that chance,
and once more counting only samples whose reasoning steps pass the checker. A sample without a label is wrong.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from lore_core.evaluation.measured import SAMPLED_COLUMNS, Measured
from lore_core.evaluation.metrics import LABELS, Floats, Integers, Labels, ratio

_PAIRS: Final = SAMPLED_COLUMNS
_SAMPLES, _RIGHT, _MAJORITY, _ANY, _CHECKED = range(SAMPLED_COLUMNS)
COLUMNS: Final = SAMPLED_COLUMNS + 1
_GUESS: Final = 1.0 / len(LABELS)


def sampled(gold: str, samples: Sequence[str | None], checked: Sequence[bool]) -> tuple[int, int, int, int, int]:
    """One pair's samples, right ones, and whether the majority, any one, and any checked one is right.

    The majority is of the samples with a label; of equally frequent labels the first drawn counts.
    """
    votes = Counter(label for label in samples if label is not None)
    majority = max(votes, key=votes.__getitem__) if votes else None
    right = sum(label == gold for label in samples)
    return len(samples), right, int(majority == gold), int(right > 0), int(any(checked))


def sample_counts(found: Floats, query: Integers, queries: int) -> Floats:
    """Counts of each query, shape (queries, COLUMNS), of pairs that were sampled."""
    columns = [*found.T, (found[:, _SAMPLES] > 0).astype(np.float64)]
    return np.stack([np.bincount(query, values, queries) for values in columns], axis=1)


def pass_at_1(counts: Floats) -> Floats:
    """Share of all samples that are right."""
    return ratio(counts[..., _RIGHT], counts[..., _SAMPLES])


def majority_at_k(counts: Floats) -> Floats:
    """Share of pairs whose most frequent label is right."""
    return ratio(counts[..., _MAJORITY], counts[..., _PAIRS])


def pass_at_k_above_chance(counts: Floats) -> Floats:
    """Share of pairs with a right label among their k samples, less that of k guesses."""
    return ratio(counts[..., _ANY], counts[..., _PAIRS]) - chance(ratio(counts[..., _SAMPLES], counts[..., _PAIRS]))


def pass_at_k_checked(counts: Floats) -> Floats:
    """Share of pairs with a sample whose steps pass the checker and give the right label."""
    return ratio(counts[..., _CHECKED], counts[..., _PAIRS])


def chance(samples: Floats) -> Floats:
    """pass@k of guessing each of the four labels alike, k being `samples`."""
    return np.asarray(1.0 - (1.0 - _GUESS) ** samples)


def derived(gold: Labels, measured: Measured, samples: int) -> tuple[float, float] | None:
    """pass@1 and pass@k less chance as label probabilities imply them, as if each sample were a draw from them.

    No reasoning is sampled, so the draws differ in nothing but luck: not comparable with sampled answers. None where no
    answer has probabilities.
    """
    scored = measured.scored
    if not scored.any():
        return None
    right = np.where(scored, measured.probabilities[np.arange(len(gold)), gold], 0.0)
    found = float((1.0 - (1.0 - right) ** samples).mean())
    return float(right.mean()), found - float(chance(np.array(samples, dtype=np.float64)))
