"""The models that are asked: trained on the generated benchmark for this run, given, or untrained where speed alone counts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.quality.runs import Settings, table, trained
from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.world import SCALES, SUBSETS, World
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.metrics import LABELS, UNPARSABLE, macro_f1
from lore_core.jobs import RuleMode
from lore_core.jobs.config import Layout, Optimizer
from lore_core.prompts import ModelKit, PromptLayout, build_contract
from lore_core.prompts.templates import LABEL_TOKENS
from lore_core.records import Pair

SEED: Final = 17
STEPS: Final = 2000
"""Optimizer steps of 16 pairs: the demo's training."""
HAND_OVER: Final = "0.25"
"""Share of the sibling's steps over which its reasoning is dropped."""
PROMPT_TOKENS: Final = 96
TRACE_TOKENS: Final = 8


@dataclass(frozen=True)
class Models:
    """A think-first model's folder, and its sibling that was trained to answer at once, where there is one."""

    think_first: Path
    label_first: Path | None = None
    learned: bool = True


def gate_pairs(each: int) -> list[Pair]:
    """The first `each` pairs of every subset of the demo world's gate split."""
    world = World(SEED, SCALES["demo"])
    return [pair for subset in SUBSETS for pair in islice(world.pairs("gate", subset), each)]


def taught(work: Path) -> Models:
    """A think-first model from the cached base, and its sibling handed over to label-first on the same pairs for as many steps."""
    from hack.basemodel import prepare

    made = prepare("demo", SEED)
    data, ranks = Path(made["data"]), os.cpu_count() or 1
    optimizer = Optimizer(max_steps=STEPS, batch_size=16, checkpoint_every=STEPS)
    thinking = Settings("demo", RuleMode.RETRIEVED, optimizer, ranks)
    think = trained(work, data, Path(made["base"]), SEED, thinking)
    gentler = optimizer.model_copy(update={"learning_rate": "0.001"})
    handed = replace(thinking, optimizer=gentler, layout=Layout.LABEL_FIRST, hand_over=HAND_OVER)
    return Models(think, trained(work, data, think, SEED, handed))


def untrained(folder: Path, prompt_tokens: int = PROMPT_TOKENS, trace_tokens: int = TRACE_TOKENS) -> Models:
    """The small base's shape with random weights, an output layer so wide that greedy answers have no near ties.

    Its reasoning does not end by itself: it is cut after `trace_tokens`.
    """
    import torch

    from lore_core.training.base import BaseSettings, small_model, write_tokenizer
    from lore_core.training.export import write_model

    torch.manual_seed(3)
    encoder = write_tokenizer(vocabulary(), folder)
    model = small_model(BaseSettings(), encoder)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.randn(encoder.size, BaseSettings().width) / 3)
    with torch.no_grad():
        model.lm_head.weight[[encoder.control(token) for token in LABEL_TOKENS]] *= 2
    contract = build_contract(encoder, PromptLayout.THINK_FIRST, RuleMode.RETRIEVED, prompt_tokens)
    assert contract.trace is not None  # think-first contracts have one
    contract = contract.model_copy(update={"trace": contract.trace.model_copy(update={"max_tokens": trace_tokens})})
    write_model(model, model.state_dict(), ModelKit(contract, encoder), folder, folder / "model")
    return Models(folder / "model", learned=False)


def quality_of(pairs: Sequence[Pair], rows: Sequence[AnswerRow]) -> float:
    """Macro-F1 of answers; what could not be read is wrong."""
    answers = {row.id: LABELS.index(row.answer) if row.answer else UNPARSABLE for row in rows}
    return float(macro_f1(table(pairs, [answers[pair.id] for pair in pairs]).totals))


def own_quality(model: Path, pairs: Sequence[Pair]) -> float:
    """Macro-F1 of a model's label scores, computed by transformers: what vLLM serves differs by less than 1e-4."""
    from benchmarks.scoring.world import rendered
    from lore_core.scoring.reference import TransformersScorer

    scores = TransformersScorer(model).score(rendered(ModelKit.load(model), pairs).prompts)
    return float(macro_f1(table(pairs, [int(best) for best in scores.probabilities.argmax(axis=1)]).totals))
