"""Pairs whose prompts share as much of their beginning as is asked for, and the small model that is trained on them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lore_core.benchmark.lexicon import vocabulary
from lore_core.prompts import TextEncoder
from lore_core.records import LABELS, Pair
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.examples import IGNORED, Example
from lore_core.training.packing import shared_prefix

ITEMS = 8
"""Items of one query."""
_QUERY, _TITLE = 60, 24
"""Words: so long as the rules that a real prompt shows, and as a title with its attributes."""


def pairs(count: int, *, shared: bool, seed: int = 17) -> list[Pair]:
    """Drawn pairs, eight items a query; not `shared`, every pair has a query of its own."""
    generator, words = np.random.default_rng(seed), vocabulary()

    def text(size: int) -> str:
        return " ".join(words[place] for place in generator.integers(0, len(words), size))

    found, query = [], ""
    for number in range(count):
        query = query if shared and number % ITEMS else text(_QUERY)
        title, label = text(int(generator.integers(_TITLE // 2, _TITLE))), LABELS[int(generator.integers(0, 4))]
        found.append(
            Pair(id=f"p{number}", item_id=f"i{number}", query=query, title=title, groundtruth=label, subset="general")
        )
    return found


def base(folder: Path, settings: BaseSettings) -> TextEncoder:
    """An untrained model of the platform's small kind."""
    import torch

    torch.manual_seed(7)
    encoder = write_tokenizer(vocabulary(), folder)
    small_model(settings, encoder).save_pretrained(str(folder))
    return encoder


def prefix_share(found: Sequence[Pair], examples: Sequence[Example]) -> float:
    """Share of the prompts' tokens that pairs of one query begin with alike."""
    groups: dict[str, list[Example]] = {}
    for pair, example in zip(found, examples, strict=True):
        groups.setdefault(pair.query, []).append(example)
    alike = sum(shared_prefix(group) * len(group) for group in groups.values() if len(group) > 1)
    return alike / sum(example.targets.count(IGNORED) for example in examples)
