"""Who is timed, and how: every arm asks one server through the same client, as many requests at once, and answers are kept."""

import re
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from secrets import token_hex
from typing import Any, Final

import httpx

from benchmarks.scoring.world import Asked, at_once, label_kit
from lore_core.evaluation.answering import Scorer, answer
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.generated import problem, read_generated
from lore_core.prompts import ModelKit, RenderedPrompt
from lore_core.records import Pair
from lore_core.scoring.client import VllmClient, all_of
from lore_core.scoring.server import ServedModel

CONCURRENCY: Final = 32
WARM: Final = 32
"""Pairs an arm is asked before anything is timed."""
_SECONDS: Final = 600.0

Answers = Callable[[Sequence[Pair], Sequence[RenderedPrompt | None]], Awaitable[list[AnswerRow]]]
Ask = Callable[[Asked], Awaitable[list[AnswerRow]]]
Draw = Callable[[int], Asked]


@dataclass(frozen=True)
class Turn:
    """One turn of an arm: pairs, seconds, and of the prompt tokens that were looked up those found in the prefix cache."""

    pairs: int
    seconds: float
    looked_up: float
    hit: float


@dataclass
class Arm:
    """`draw(turn)` is what is asked in a turn, `ask` asks it."""

    name: str
    draw: Draw
    ask: Ask
    turns: list[Turn] = field(default_factory=list)
    answers: list[AnswerRow] = field(default_factory=list)
    prompt_tokens: float = 0.0

    @property
    def rates(self) -> list[float]:
        """Pairs a second of every turn."""
        return [turn.pairs / turn.seconds for turn in self.turns]

    @property
    def rate(self) -> float:
        """Their median."""
        return statistics.median(self.rates)

    @property
    def pairs(self) -> int:
        """Pairs of a turn."""
        return self.turns[-1].pairs

    @property
    def hit_rate(self) -> float:
        """Share of the prompt tokens that the prefix cache had, over all turns."""
        looked_up = sum(turn.looked_up for turn in self.turns)
        return sum(turn.hit for turn in self.turns) / looked_up if looked_up else 0.0

    @property
    def generated(self) -> float:
        """Tokens generated a pair, the label's left out where it is scored."""
        return statistics.mean(row.output_tokens or 0 for row in self.answers)

    def document(self) -> dict[str, Any]:
        """What was measured of it."""
        return {
            "name": self.name,
            "medianPairsPerSecond": self.rate,
            "prefixCacheHitRate": self.hit_rate,
            "promptTokens": self.prompt_tokens,
            "generatedTokens": self.generated,
            "turns": [asdict(turn) for turn in self.turns],
        }


class PlainClient(VllmClient):
    """The same client with a cache salt of its own for every request: nothing is shared with any other."""

    async def _post(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        return await super()._post(path, {**request, "cache_salt": token_hex(16)})


class Reasoning:
    """One request a pair: the model writes its reasoning, then its label, and stops there where labels are control tokens."""

    def __init__(self, kit: ModelKit, client: VllmClient) -> None:
        contract = kit.contract
        assert contract.trace is not None  # only think-first models are asked
        self._kit, self._client = kit, client
        self._most = contract.trace.max_tokens + len(contract.verbaliser.prefix_ids) + 2
        self._stop = [id_ for id_ in contract.verbaliser.token_ids if id_ in kit.encoder.control_ids]

    async def __call__(self, pairs: Sequence[Pair], prompts: Sequence[RenderedPrompt | None]) -> list[AnswerRow]:
        """The pairs' answers."""
        return await all_of([self._one(pair, prompt) for pair, prompt in zip(pairs, prompts, strict=True)])

    async def _one(self, pair: Pair, prompt: RenderedPrompt | None) -> AnswerRow:
        assert prompt is not None  # what is asked fits the model
        ids, seconds = await self._client.generate(prompt, self._most, stop_token_ids=self._stop)
        said = read_generated(self._kit, ids)
        found = {"answer": said.answer.label, "problem": problem(said), "output_tokens": len(ids)}
        return AnswerRow.of(pair, **found, latency_ms=seconds * 1000.0)


class Lengthy:
    """One request a pair whose reasoning has just so many tokens, whatever the model would write: the cost of a length."""

    def __init__(self, client: VllmClient, tokens: int) -> None:
        self._client, self._tokens = client, tokens

    async def __call__(self, pairs: Sequence[Pair], prompts: Sequence[RenderedPrompt | None]) -> list[AnswerRow]:
        """Rows without answers."""
        return await all_of([self._one(pair, prompt) for pair, prompt in zip(pairs, prompts, strict=True)])

    async def _one(self, pair: Pair, prompt: RenderedPrompt | None) -> AnswerRow:
        assert prompt is not None  # what is asked fits the model
        ids, _ = await self._client.generate(prompt, self._tokens, min_tokens=self._tokens, ignore_eos=True)
        return AnswerRow.of(pair, output_tokens=len(ids))


class Clients:
    """Clients of one server, closed together."""

    def __init__(self, kit: ModelKit, served: ServedModel, stack: AsyncExitStack) -> None:
        self._kit, self._served, self._stack = kit, served, stack

    async def reasoning_first(self, thought: Asked) -> list[Arm]:
        """The same weights three ways: label at once, reasoning and label generated, label scored behind generated reasoning."""
        label, think = await self._open(VllmClient, label_kit(self._kit)), await self._open(VllmClient, self._kit)
        closed = at_once(self._kit, thought)
        return [
            Arm("label token at once", lambda _: closed, in_order(Scorer(label))),
            Arm("reasoning first, label generated", lambda _: thought, in_order(Reasoning(self._kit, think))),
            Arm("reasoning first, label scored", lambda _: thought, in_order(Scorer(think))),
        ]

    async def of_length(self, thought: Asked, tokens: int) -> list[Arm]:
        """The label at once beside reasoning of a set length."""
        label, think = await self._open(VllmClient, label_kit(self._kit)), await self._open(VllmClient, self._kit)
        closed = at_once(self._kit, thought)
        return [
            Arm("label token at once", lambda _: closed, in_order(Scorer(label))),
            Arm(f"{tokens} tokens of reasoning", lambda _: thought, in_order(Lengthy(think, tokens))),
        ]

    async def beside_plain(self, name: str, kind: type[VllmClient], draw: Draw) -> list[Arm]:
        """Our order beside requests in the order of a shuffle."""
        ours = await self._open(VllmClient, label_kit(self._kit))
        other = await self._open(kind, label_kit(self._kit))
        # No turn asks what an earlier one asked: nobody finds a prefix that somebody else has paid for.
        return [
            Arm("ours, pairs of a query together", lambda turn: draw(2 * turn), in_order(Scorer(ours))),
            Arm(name, lambda turn: draw(2 * turn + 1).shuffled(turn), as_given(Scorer(other))),
        ]

    async def _open(self, kind: type[VllmClient], kit: ModelKit) -> VllmClient:
        made = kind(kit, self._served.base_url, self._served.model, timeout=_SECONDS, concurrency=CONCURRENCY)
        return await self._stack.enter_async_context(made)


def in_order(answers: Answers) -> Ask:
    """As the platform asks, whatever the order it is given."""
    return lambda asked: answer(asked.pairs, asked.prompts, answers, lambda _: None)


def as_given(answers: Answers) -> Ask:
    """In the order it is given."""
    return lambda asked: answers(asked.pairs, asked.prompts)


async def take_turns(arms: Sequence[Arm], repeats: int, url: str) -> None:
    """All arms in turn, `repeats` times, after a few pairs each that do not count."""
    for arm in arms:
        await arm.ask(arm.draw(repeats).first(WARM))
    for turn in range(repeats):
        for arm in arms:
            asked = arm.draw(turn)
            before, began = await cache_counters(url), time.perf_counter()
            arm.answers = await arm.ask(asked)
            seconds, after = time.perf_counter() - began, await cache_counters(url)
            arm.prompt_tokens = asked.mean_tokens
            arm.turns.append(Turn(len(asked.pairs), seconds, after[0] - before[0], after[1] - before[1]))


async def cache_counters(url: str) -> tuple[float, float]:
    """Prompt tokens that the server has looked up in its prefix cache so far, and those it found there."""
    text = await metrics(url)
    return counter(text, "vllm:prefix_cache_queries_total"), counter(text, "vllm:prefix_cache_hits_total")


async def metrics(url: str) -> str:
    """What the server tells Prometheus."""
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
        return (await client.get(f"{url}/metrics")).raise_for_status().text


def counter(text: str, name: str) -> float:
    found = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
    if not found:
        raise RuntimeError(f"the server has no metric {name}")
    return sum(map(float, found))


def cache_tokens(text: str) -> int:
    """Tokens that the server's KV cache holds, from its `cache_config_info`."""
    labels = dict(
        re.findall(r'(\w+)="([^"]*)"', next(line for line in text.splitlines() if "cache_config_info{" in line))
    )
    return int(labels["num_gpu_blocks"]) * int(labels["block_size"])
