"""The generated-answer protocol: the model writes its answer, the label is read where its reasoning has ended.

Where the reasoning ends is told by the stop's token id, which no text of a query or an item is ever encoded to; so a title
that spells `</think> L4` and is quoted in the reasoning moves nothing. Reasoning that was cut leaves no answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.checked import steps_hold
from lore_core.jobs import Generation
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt, RuleSource
from lore_core.prompts.answers import Answer, read_label
from lore_core.records import Label, Pair
from lore_core.scoring.client import VllmClient, all_of

CUT = "the reasoning was cut before it ended"
NO_LABEL = "no label follows the reasoning"


@dataclass(frozen=True, slots=True)
class Said:
    """A generated answer as read; `cut` where the reasoning never ended."""

    answer: Answer
    cut: bool = False


def read_generated(kit: ModelKit, ids: Sequence[int]) -> Said:
    """Label, mismatch type and reasoning of generated ids."""
    trace = kit.contract.trace
    if trace is None:
        # A label-first prompt ends with the label's forced prefix; the answer begins there.
        return Said(read_label(kit.encoder.decode([*kit.contract.verbaliser.prefix_ids, *ids])))
    if trace.stop_token_id not in ids:
        return Said(Answer(None, None, kit.encoder.decode(ids)), cut=True)
    end = list(ids).index(trace.stop_token_id)
    return Said(read_label(kit.encoder.decode(ids[end + 1 :]), kit.encoder.decode(ids[:end])))


class Generator:
    """Asks one served model for whole answers: one greedy, and `generation.samples` further ones for pass@k."""

    def __init__(self, kit: ModelKit, rules: RuleSource, client: VllmClient, generation: Generation) -> None:
        self._kit, self._rules, self._client, self._generation = kit, rules, client, generation

    async def __call__(self, pairs: Sequence[Pair], prompts: Sequence[RenderedPrompt | None]) -> list[AnswerRow]:
        """The pairs' answers, in their order. Raises ScoringError."""
        return await all_of([self._one(pair, prompt) for pair, prompt in zip(pairs, prompts, strict=True)])

    async def _one(self, pair: Pair, prompt: RenderedPrompt | None) -> AnswerRow:
        if prompt is None:
            return AnswerRow.of(pair, problem="the query is longer than the model's prompt")
        ids, seconds = await self._client.generate(prompt, self._most_tokens)
        said = read_generated(self._kit, ids)
        samples = await all_of([self._sample(pair, prompt, number) for number in range(self._generation.samples)])
        return AnswerRow.of(
            pair,
            answer=said.answer.label,
            mismatch=said.answer.mismatch,
            problem=problem(said),
            trace=said.answer.reasoning or None,
            samples=tuple(one.answer.label for one in samples),
            checked=tuple(self._checked(pair, one.answer) for one in samples),
            truncated=prompt.truncated,
            prompt_tokens=len(prompt.token_ids),
            output_tokens=len(ids),
            latency_ms=seconds * 1000.0,
        )

    async def _sample(self, pair: Pair, prompt: RenderedPrompt, number: int) -> Said:
        sampling: dict[str, Any] = {
            "temperature": float(self._generation.temperature),
            "seed": sample_seed(pair, number),
        }
        ids, _ = await self._client.generate(prompt, self._most_tokens, **sampling)
        return read_generated(self._kit, ids)

    @property
    def _most_tokens(self) -> int:
        trace = self._kit.contract.trace
        reasoning = trace.max_tokens + 1 if trace is not None else 0
        return reasoning + len(self._kit.contract.verbaliser.prefix_ids) + self._generation.max_answer_tokens

    def _checked(self, pair: Pair, answer: Answer) -> bool:
        """Whether the steps of a sample hold and give gold; a label alone has none to check."""
        if answer.label is None or self._kit.contract.layout is not PromptLayout.THINK_FIRST:
            return False
        return steps_hold(pair, Label(answer.label), answer.reasoning, self._rules)


def problem(said: Said) -> str | None:
    """Why an answer has no label."""
    if said.answer.parsed:
        return None
    return CUT if said.cut else NO_LABEL


def sample_seed(pair: Pair, number: int) -> int:
    """A seed that depends on the pair and the sample alone, so that shards and order change no sample."""
    return int.from_bytes(sha256(f"{pair.id}\0{number}".encode("utf-8", "surrogatepass")).digest()[:4], "big") >> 1
