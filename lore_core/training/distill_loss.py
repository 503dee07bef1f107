"""Parts of a student's loss that come from its teacher. Pure functions of torch tensors; n pairs, four labels."""

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any, Final

TEMPERATURE: Final = 2.0
_LEAST: Final = 1e-9


def divergence(teacher: Any, logits: Any, weights: Any = None) -> Any:
    """Mean KL(teacher‖student) at TEMPERATURE T, scaled by T² (Hinton et al., arXiv 1503.02531).

    `teacher` are n×4 probabilities, `logits` the student's, n×4; `weights`, of shape (n,), say how much of each pair counts.
    """
    from torch.nn.functional import kl_div

    target = (teacher.clamp_min(_LEAST).log() / TEMPERATURE).log_softmax(-1)
    student = (logits / TEMPERATURE).log_softmax(-1)
    if weights is None:
        return kl_div(student, target, log_target=True, reduction="batchmean") * TEMPERATURE**2
    each = kl_div(student, target, log_target=True, reduction="none").sum(-1)
    return (weights * each).mean() * TEMPERATURE**2


def margin(teacher: Any, logits: Any, grades: Any, queries: Sequence[Hashable], weights: Any = None) -> Any:
    """Mean squared error of differences in expected grade between any two pairs of one query (Margin-MSE, arXiv 2010.02666).

    `grades`, of shape (4,), are what the labels are worth; `queries` names each pair's query. A difference counts by the
    weights of both its pairs. 0 where no two pairs share a query.
    """
    import torch

    apart = (logits.softmax(-1) - teacher) @ grades
    both = [ends for ends in combinations(range(len(queries)), 2) if queries[ends[0]] == queries[ends[1]]]
    first, second = torch.tensor(both, dtype=torch.long, device=logits.device).reshape(-1, 2).unbind(1)
    squared = (apart[first] - apart[second]) ** 2
    if weights is not None:
        squared = squared * weights[first] * weights[second]
    return squared.sum() / max(1, len(both))


def trust(teacher: Any, gold: Any) -> Any:
    """Weights of shape (n,): the probability that the teacher gives each pair's gold label, codes 0..3 of shape (n,).

    A sure teacher that agrees with gold counts in full, an unsure one less, and one that is sure of another label not at all.
    """
    return teacher.gather(1, gold[:, None])[:, 0]
