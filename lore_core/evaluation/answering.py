"""From pairs to answers: render, score in an order that shares prompt prefixes, read the label."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from lore_core.evaluation.evidence import AnswerRow
from lore_core.evaluation.metrics import LABELS
from lore_core.jobs.report import Progress
from lore_core.prompts import ModelKit, PromptTooLong, RenderedPrompt, RuleSource
from lore_core.records import Pair
from lore_core.scoring.client import VllmClient
from lore_core.scoring.scores import LabelScore

_BATCH: Final = 256
_LARGEST_OUTSIDE: Final = 0.5
"""Mass outside the labels beyond which the model would rather say something that is no label: unparsable."""


def render(pairs: Sequence[Pair], kit: ModelKit, rules: RuleSource) -> list[RenderedPrompt | None]:
    """The prompt of each pair; None where the query alone is longer than the model's prompt."""
    return [_rendered(pair, kit, rules) for pair in pairs]


def _rendered(pair: Pair, kit: ModelKit, rules: RuleSource) -> RenderedPrompt | None:
    try:
        return kit.render(pair, rules(pair))
    except PromptTooLong:
        return None


async def answer(
    pairs: Sequence[Pair],
    prompts: Sequence[RenderedPrompt | None],
    client: VllmClient,
    progress: Callable[[Progress], None],
) -> list[AnswerRow]:
    """Answers in the pairs' order. Pairs of one query are sent next to each other, whatever their order here.

    Raises ScoringError where the server gives no score: a part of a benchmark is no result.
    """
    shared = sorted(range(len(pairs)), key=lambda row: (pairs[row].query, pairs[row].market, pairs[row].id))
    rows: list[AnswerRow | None] = [None] * len(pairs)
    started = time.monotonic()
    for start in range(0, len(shared), _BATCH):
        batch = shared[start : start + _BATCH]
        scores = iter(await _scores(client, [prompt for row in batch if (prompt := prompts[row]) is not None]))
        for row in batch:
            prompt = prompts[row]
            rows[row] = answered(pairs[row], prompt, next(scores) if prompt is not None else None)
        progress(_so_far(start + len(batch), len(pairs), time.monotonic() - started))
    return [row for row in rows if row is not None]


async def _scores(client: VllmClient, prompts: Sequence[RenderedPrompt]) -> list[LabelScore]:
    found = await client.score(prompts)
    rows = zip(found.probabilities.tolist(), found.outside.tolist(), found.traces, strict=True)
    return [LabelScore(tuple(probabilities), outside, trace) for probabilities, outside, trace in rows]


def answered(pair: Pair, prompt: RenderedPrompt | None, score: LabelScore | None) -> AnswerRow:
    """One answer. No label is read from a score that is no number or that lies mostly outside the labels."""
    gold = pair.groundtruth.value
    if prompt is None or score is None:
        return AnswerRow(id=pair.id, gold=gold, problem="the query is longer than the model's prompt")
    if not all(math.isfinite(value) for value in (*score.probabilities, score.outside)):
        return AnswerRow(id=pair.id, gold=gold, truncated=prompt.truncated, problem="the score is not a number")
    unreadable = score.outside > _LARGEST_OUTSIDE
    best = max(range(len(LABELS)), key=score.probabilities.__getitem__)
    return AnswerRow(
        id=pair.id,
        gold=gold,
        answer=None if unreadable else LABELS[best],
        probabilities=score.probabilities,
        outside=score.outside,
        truncated=prompt.truncated,
        problem="most of the probability lies outside the labels" if unreadable else None,
        trace=score.trace or None,
    )


def _so_far(done: int, total: int, seconds: float) -> Progress:
    left = round(seconds / done * (total - done)) if done else None
    return Progress(step=done, total_steps=total, unit="pairs", seconds_remaining=left)
