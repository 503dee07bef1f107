"""From pairs to answers: render, score in an order that shares prompt prefixes, read the label."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.metrics import LABELS
from lore_core.prompts import ModelKit, PromptTooLong, RenderedPrompt, RuleSource
from lore_core.records import Pair
from lore_core.records.picture import BadPicture, data_url
from lore_core.scoring.client import VllmClient
from lore_core.scoring.scores import LabelScore

_BATCH: Final = 256
_LARGEST_OUTSIDE: Final = 0.5
"""Mass outside the labels beyond which the model would rather say something that is no label: unparsable."""


def render(pairs: Sequence[Pair], kit: ModelKit, rules: RuleSource) -> list[RenderedPrompt | None]:
    """The prompt of each pair; None where the query alone is longer than the model's prompt. Raises BadPicture."""
    return [_rendered(pair, kit, rules) for pair in pairs]


def _rendered(pair: Pair, kit: ModelKit, rules: RuleSource) -> RenderedPrompt | None:
    try:
        prompt = kit.render(pair, rules(pair))
    except PromptTooLong:
        return None
    if prompt.picture is not None:
        _check_picture(pair)
    return prompt


def _check_picture(pair: Pair) -> None:
    try:
        data_url(pair.image_base64)
    except BadPicture as error:
        raise BadPicture(f"record {pair.id}: image_base64: {error}") from error


Answerer = Callable[[Sequence[Pair], Sequence[RenderedPrompt | None]], Awaitable[list[AnswerRow]]]
"""Answers to pairs and their prompts, in their order; raises ScoringError where the server gives none."""


class Scorer:
    """Answers by label score: the most probable of the four label tokens."""

    def __init__(self, client: VllmClient) -> None:
        self._client = client

    async def __call__(self, pairs: Sequence[Pair], prompts: Sequence[RenderedPrompt | None]) -> list[AnswerRow]:
        """The pairs' answers."""
        scores = iter(await self._client.score_each([prompt for prompt in prompts if prompt is not None]))
        return [
            answered(pair, prompt, next(scores) if prompt is not None else None)
            for pair, prompt in zip(pairs, prompts, strict=True)
        ]


async def answer(
    pairs: Sequence[Pair],
    prompts: Sequence[RenderedPrompt | None],
    answerer: Answerer,
    progress: Callable[[int], None],
) -> list[AnswerRow]:
    """Answers in the pairs' order; `progress` is told how many more there are.

    Pairs of one query are sent next to each other, whatever their order here. Raises ScoringError where the server gives no
    answer: a part of a benchmark is no result.
    """
    shared = sorted(range(len(pairs)), key=lambda row: (pairs[row].query, pairs[row].market, pairs[row].id))
    rows: list[AnswerRow | None] = [None] * len(pairs)
    for start in range(0, len(shared), _BATCH):
        batch = shared[start : start + _BATCH]
        found = await answerer([pairs[row] for row in batch], [prompts[row] for row in batch])
        for row, one in zip(batch, found, strict=True):
            rows[row] = one
        progress(len(batch))
    return [row for row in rows if row is not None]


def answered(pair: Pair, prompt: RenderedPrompt | None, score: LabelScore | None) -> AnswerRow:
    """One answer. No label is read from a score that is no number or that lies mostly outside the labels."""
    if prompt is None or score is None:
        return AnswerRow.of(pair, problem="the query is longer than the model's prompt")
    found: dict[str, object] = {
        "truncated": prompt.truncated,
        "prompt_tokens": len(prompt.token_ids),
        "output_tokens": score.output_tokens,
        "latency_ms": score.seconds * 1000.0,
        "trace": score.trace or None,
    }
    if not all(math.isfinite(value) for value in (*score.probabilities, score.outside)):
        return AnswerRow.of(pair, **found, problem="the score is not a number")
    found |= {"probabilities": score.probabilities, "outside": score.outside}
    if score.outside > _LARGEST_OUTSIDE:
        return AnswerRow.of(pair, **found, problem="most of the probability lies outside the labels")
    best = max(range(len(LABELS)), key=score.probabilities.__getitem__)
    return AnswerRow.of(pair, **found, answer=LABELS[best])
