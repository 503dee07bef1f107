"""What is a two-tower student's own in training: its start, its batches, and the head that training leaves in the contract."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lore_core.prompts import ModelKit
from lore_core.prompts.contract import Towers
from lore_core.scoring.reference import tower_inputs
from lore_core.training.examples import Example


def load_towers(folder: Path, towers: Towers) -> Any:
    """The base as both towers, with the head of an untrained contract."""
    from transformers.utils import logging

    from lore_core.scoring.two_tower import TwoTower

    logging.set_verbosity_error()  # heads of the base that no tower needs are announced as unexpected weights
    return TwoTower.load(folder, towers)


def collate_towers(examples: Sequence[Example]) -> dict[str, Any]:
    """Tensors of `reference.tower_inputs`, and `targets` n×1."""
    import torch

    inputs = tower_inputs([(one.token_ids[: one.of_query], one.token_ids[one.of_query :]) for one in examples])
    return {**inputs, "targets": torch.tensor([one.targets for one in examples])}


def learnt_kit(kit: ModelKit, weights: Mapping[str, Any]) -> ModelKit:
    """The kit to publish with a state dict: a two-tower's has the head's numbers, every other is `kit` itself.

    So is that of a rank that holds no weights.
    """
    if (towers := kit.contract.towers) is None or not weights:
        return kit
    from lore_core.scoring.two_tower import HEAD, head_numbers

    scale, cuts = head_numbers(towers, weights[HEAD])
    first, second, third = (f"{cut:.8f}" for cut in cuts.tolist())
    learnt = Towers(
        query_template=towers.query_template, scale=f"{float(scale):.8f}", cut_points=(first, second, third)
    )
    return ModelKit(kit.contract.model_copy(update={"towers": learnt}), kit.encoder)
