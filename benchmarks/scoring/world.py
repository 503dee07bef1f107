"""What is asked: prompts that begin alike and end apart, and the pairs of the generated benchmark's gate split."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from lore_core.benchmark.rulebook import rulebook
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, RuleSource, TextEncoder
from lore_core.records import LABELS, Pair

SHARED: Final = 900
"""Tokens that the pairs of one query begin with alike: instructions, rules, the query."""
OWN: Final = 20
ITEMS: Final = 8
"""Pairs of one query."""
LONGEST: Final = 1024


@dataclass(frozen=True)
class Asked:
    """Pairs and the prompt of each."""

    pairs: tuple[Pair, ...]
    prompts: tuple[RenderedPrompt, ...]

    def first(self, count: int) -> Self:
        """The first `count` pairs."""
        return type(self)(self.pairs[:count], self.prompts[:count])

    def shuffled(self, seed: int) -> Self:
        """The same in another order."""
        order = np.random.default_rng(seed).permutation(len(self.pairs))
        return type(self)(tuple(self.pairs[row] for row in order), tuple(self.prompts[row] for row in order))

    @property
    def mean_tokens(self) -> float:
        """Prompt tokens of a pair."""
        return sum(len(prompt.token_ids) for prompt in self.prompts) / len(self.prompts)


def long_prompts(encoder: TextEncoder, queries: int, seed: int) -> Asked:
    """`ITEMS` pairs a query with `SHARED` tokens alike and `OWN` of their own; another seed has no beginning in common."""
    words = np.array(sorted(set(range(encoder.size)) - encoder.control_ids))
    generator = np.random.default_rng(seed)
    pairs, prompts = [], []
    for number in range(queries):
        shared = generator.choice(words, SHARED).tolist()
        for item in range(ITEMS):
            prompts.append(RenderedPrompt((*shared, *generator.choice(words, OWN).tolist()), truncated=False))
            pairs.append(_pair(f"{seed}-{number:05d}", item))
    return Asked(tuple(pairs), tuple(prompts))


def _pair(query: str, item: int) -> Pair:
    name = f"{query}-{item}"
    return Pair(id=name, item_id=name, query=query, title=name, groundtruth=LABELS[item % 4], subset="general")


def rendered(kit: ModelKit, pairs: Sequence[Pair]) -> Asked:
    """The pairs' prompts as the model was trained: think-first ones end where the reasoning begins."""
    rules = RuleSource(kit.contract.rule_mode, rulebook())
    return Asked(tuple(pairs), tuple(kit.render(pair, rules(pair)) for pair in pairs))


def at_once(kit: ModelKit, asked: Asked) -> Asked:
    """The same prompts with the reasoning closed before it says anything: the next token is the label's."""
    return Asked(
        asked.pairs,
        tuple(RenderedPrompt(kit.label_position(one, ()), one.truncated) for one in asked.prompts),
    )


def label_kit(kit: ModelKit) -> ModelKit:
    """The same model asked for its label at the next token."""
    return ModelKit(kit.contract.model_copy(update={"layout": PromptLayout.LABEL_FIRST, "trace": None}), kit.encoder)


def lengthened(model: Path, folder: Path) -> Path:
    """The model with room for `LONGEST` positions, its files linked: positions are rotations, no weight depends on them."""
    folder.mkdir()
    for name, field in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        found = json.loads((model / name).read_text(encoding="utf-8"))
        if field in found:
            found[field] = max(LONGEST, found[field])
        (folder / name).write_text(json.dumps(found), encoding="utf-8")
    for file in model.iterdir():
        if file.is_file() and not (folder / file.name).exists():
            os.symlink(file.absolute(), folder / file.name)
    return folder
