"""Pairs of one query share a prompt prefix: it is computed once, and every pair is a branch of it in one packed row.

Exact, not approximate: a branch attends to the prefix and to itself, its positions go on where the prefix ends, and every
trained token has its predecessor inside its own branch. Attention is a dense 4-D mask, which every SDPA backend takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lore_core.training.examples import IGNORED, Example


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One row: ids, positions, the branch of each token (-1 for the prefix), the target after each token, and its pair.

    `targets[t]` is what the model shall say after token t, IGNORED for nothing; `weights[t]` counts it in the loss.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    branches: tuple[int, ...]
    targets: tuple[int, ...]
    weights: tuple[float, ...]


def shared_prefix(examples: Sequence[Example]) -> int:
    """Tokens that all examples begin with, short of the first trained token's predecessor: that one belongs to its branch."""
    most = min(_first_trained(example) - 1 for example in examples)
    first = examples[0].token_ids
    return next(
        (place for place in range(most) if any(example.token_ids[place] != first[place] for example in examples)),
        max(0, most),
    )


def _first_trained(example: Example) -> int:
    return next((place for place, target in enumerate(example.targets) if target != IGNORED), len(example.token_ids))


def pack(examples: Sequence[Example], label_weight: float = 1.0) -> PackedRow:
    """One row of examples that are to share their prefix; their last trained token, the label, has weight `label_weight`."""
    prefix = shared_prefix(examples) if len(examples) > 1 else 0
    ids, positions = list(examples[0].token_ids[:prefix]), list(range(prefix))
    branches, targets, weights = [-1] * prefix, [IGNORED] * prefix, [0.0] * prefix
    for number, example in enumerate(examples):
        after = [*example.targets[prefix + 1 :], IGNORED]
        trained = [place for place, target in enumerate(after) if target != IGNORED]
        ids += example.token_ids[prefix:]
        positions += range(prefix, len(example.token_ids))
        branches += [number] * len(after)
        targets += after
        weights += [
            label_weight if place == trained[-1] else float(target != IGNORED) for place, target in enumerate(after)
        ]
    return PackedRow(tuple(ids), tuple(positions), tuple(branches), tuple(targets), tuple(weights))


def grouped_rows(examples: Sequence[Example], longest: int, label_weight: float = 1.0) -> list[PackedRow]:
    """Rows of neighbouring examples that share at least a quarter of their prompt, while they fit into `longest` tokens.

    An example that is longer by itself has a row of its own, so 0 packs nothing.
    """
    rows: list[PackedRow] = []
    group: list[Example] = []
    for example in examples:
        if group and not _belongs(group, example, longest):
            rows.append(pack(group, label_weight))
            group = []
        group.append(example)
    return [*rows, pack(group, label_weight)] if group else rows


def _belongs(group: Sequence[Example], example: Example, longest: int) -> bool:
    prefix = shared_prefix([*group, example])
    length = prefix + sum(len(member.token_ids) - prefix for member in (*group, example))
    return 4 * prefix >= _first_trained(example) and length <= longest


def collate_rows(rows: Sequence[PackedRow]) -> dict[str, Any]:
    """Tensors of n rows: `input_ids`, `position_ids`, `targets`, `weights` n×longest, `attention_mask` n×1×longest×longest.

    The mask is additive in float32: 0 where a token may look, the lowest number where it may not.
    """
    import torch

    longest = max(len(row.ids) for row in rows)

    def filled(values: Sequence[Sequence[float]], fill: float, dtype: Any) -> Any:
        return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in values], dtype=dtype)

    branches = filled([row.branches for row in rows], -2, torch.long)
    order = torch.arange(longest)
    looks_back = order[:, None] >= order[None, :]
    own = branches[:, :, None] == branches[:, None, :]
    prefix = (branches == -1)[:, None, :]
    seen = looks_back & (own | prefix)
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    return {
        "input_ids": filled([row.ids for row in rows], 0, torch.long),
        "position_ids": filled([row.positions for row in rows], 0, torch.long),
        "attention_mask": mask[:, None],
        "targets": filled([row.targets for row in rows], IGNORED, torch.long),
        "weights": filled([row.weights for row in rows], 0.0, torch.float32),
    }


def packed_loss(logits: Any, targets: Any, weights: Any) -> Any:
    """Weighted mean cross-entropy over all trained tokens."""
    from torch.nn.functional import cross_entropy

    each = cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    return (each * weights.flatten()).sum() / weights.sum()
