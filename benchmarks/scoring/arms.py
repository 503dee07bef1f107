"""Who is timed, and how: every arm asks one server through the same client, as many requests at once, and answers are kept."""

import asyncio
import contextlib
import os
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, TypeVar

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
LIST: Final = 8
"""Prompts of a rival's request, as many as ours."""
WARM: Final = 32
"""Pairs an arm is asked before anything is timed."""
_SECONDS: Final = 600.0

Answers = Callable[[Sequence[Pair], Sequence[RenderedPrompt | None]], Awaitable[list[AnswerRow]]]
Ask = Callable[[Asked], Awaitable[list[AnswerRow]]]
Draw = Callable[[int], Asked]
Client = TypeVar("Client", bound=VllmClient)


@dataclass(frozen=True)
class Turn:
    """One turn of an arm: pairs, seconds, and of the prompt tokens that were looked up those found in the prefix cache.

    `cpu` are seconds of a core by whose they are: the client's, the server's HTTP side's, its engine's.
    """

    pairs: int
    seconds: float
    looked_up: float
    hit: float
    cpu: dict[str, float]


@dataclass
class Arm:
    """`draw(turn)` is what is asked in a turn, `ask` asks it. A `rival` is one that ours is measured by."""

    name: str
    draw: Draw
    ask: Ask
    rival: bool = False
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
    def cpu(self) -> dict[str, float]:
        """Milliseconds of a core a pair, over all turns."""
        pairs = sum(turn.pairs for turn in self.turns)
        return {name: 1000 * sum(turn.cpu[name] for turn in self.turns) / pairs for name in self.turns[0].cpu}

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
            "cpuMillisecondsPerPair": self.cpu,
            "turns": [asdict(turn) for turn in self.turns],
        }


class SaltedClient(VllmClient):
    """The same client with a cache salt of its own for every request: nothing is shared with any other."""

    async def _post(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        return await super()._post(path, {**request, "cache_salt": token_hex(16)})


class ListClient(VllmClient):
    """The same client asking for whole answers by lists of prompts too: what a list saves, the rival is given as well."""

    def __init__(self, kit: ModelKit, base_url: str, model: str, **options: Any) -> None:
        super().__init__(kit, base_url, model, **options)
        self._model, self._lists = model, asyncio.Semaphore(CONCURRENCY // LIST)

    async def generate_each(self, prompts: Sequence[RenderedPrompt], most: int, **sampling: Any) -> list[Sequence[int]]:
        """Ids of greedy answers, `LIST` prompts a request."""
        groups = [prompts[start : start + LIST] for start in range(0, len(prompts), LIST)]
        lists = await all_of([self._list([list(one.token_ids) for one in group], most, sampling) for group in groups])
        return [ids for group in lists for ids in group]

    async def _list(self, prompts: list[list[int]], most: int, sampling: dict[str, Any]) -> list[Sequence[int]]:
        how = {"temperature": 0, "return_token_ids": True, "skip_special_tokens": False, **sampling}
        async with self._lists:
            request = {"model": self._model, "prompt": prompts, "max_tokens": most, **how}
            found = await self._post("/v1/completions", request)
        return [choice["token_ids"] for choice in sorted(found["choices"], key=lambda one: int(one["index"]))]


Generate = Callable[..., Awaitable[list[Sequence[int]]]]
"""Ids of greedy answers to prompts: `(prompts, most, **sampling)`."""


def one_by_one(client: VllmClient) -> Generate:
    """A request a prompt."""

    async def generate(prompts: Sequence[RenderedPrompt], most: int, **sampling: Any) -> list[Sequence[int]]:
        found = await all_of([client.generate(prompt, most, **sampling) for prompt in prompts])
        return [ids for ids, _ in found]

    return generate


class Reasoning:
    """The model writes its reasoning, then its label, and stops there where labels are control tokens."""

    def __init__(self, kit: ModelKit, generate: Generate) -> None:
        contract = kit.contract
        assert contract.trace is not None  # only think-first models are asked
        self._kit, self._generate = kit, generate
        self._most = contract.trace.max_tokens + len(contract.verbaliser.prefix_ids) + 2
        self._stop = [id_ for id_ in contract.verbaliser.token_ids if id_ in kit.encoder.control_ids]

    async def __call__(self, pairs: Sequence[Pair], prompts: Sequence[RenderedPrompt | None]) -> list[AnswerRow]:
        """The pairs' answers."""
        found = await self._generate(prompts, self._most, stop_token_ids=self._stop)
        return [self._row(pair, ids) for pair, ids in zip(pairs, found, strict=True)]

    def _row(self, pair: Pair, ids: Sequence[int]) -> AnswerRow:
        said = read_generated(self._kit, ids)
        return AnswerRow.of(pair, answer=said.answer.label, problem=problem(said), output_tokens=len(ids))


class Lengthy:
    """Reasoning of just so many tokens, whatever the model would write: the cost of a length."""

    def __init__(self, generate: Generate, tokens: int) -> None:
        self._generate, self._tokens = generate, tokens

    async def __call__(self, pairs: Sequence[Pair], prompts: Sequence[RenderedPrompt | None]) -> list[AnswerRow]:
        """Rows without answers."""
        found = await self._generate(prompts, self._tokens, min_tokens=self._tokens, ignore_eos=True)
        return [AnswerRow.of(pair, output_tokens=len(ids)) for pair, ids in zip(pairs, found, strict=True)]


class Clients:
    """Clients of one server, closed together."""

    def __init__(self, kit: ModelKit, served: ServedModel, stack: AsyncExitStack) -> None:
        self._kit, self._served, self._stack = kit, served, stack

    async def reasoning_first(self, thought: Asked) -> list[Arm]:
        """The same weights: label at once, reasoning and label generated, and both with a request a pair; the tail's way last."""
        return [
            *await self._beside(thought, lambda generate: Reasoning(self._kit, generate), "reasoning first"),
            await self._at_once("label token at once, one by one", thought, together=1),
            Arm(
                "reasoning first, label scored",
                lambda _: thought,
                in_order(Scorer(await self._open(VllmClient, self._kit))),
            ),
        ]

    async def of_length(self, thought: Asked, tokens: int) -> list[Arm]:
        """The label at once beside reasoning of a set length."""
        return await self._beside(thought, lambda generate: Lengthy(generate, tokens), f"{tokens} tokens of reasoning")

    async def _beside(self, thought: Asked, write: Callable[[Generate], Answers], name: str) -> list[Arm]:
        """The label at once beside two rivals, who ask by lists and one by one."""
        lists, single = await self._open(ListClient, self._kit), await self._open(VllmClient, self._kit)
        return [
            await self._at_once("label token at once", thought),
            Arm(f"{name}, by lists", lambda _: thought, in_order(write(lists.generate_each)), rival=True),
            Arm(f"{name}, one by one", lambda _: thought, in_order(write(one_by_one(single))), rival=True),
        ]

    async def _at_once(self, name: str, thought: Asked, **options: int) -> Arm:
        closed = at_once(self._kit, thought)
        label = await self._open(VllmClient, label_kit(self._kit), **options)
        return Arm(name, lambda _: closed, in_order(Scorer(label)))

    async def beside_plain(self, name: str, kind: type[VllmClient], draw: Draw) -> list[Arm]:
        """Our order and lists beside a request a pair in the order of a shuffle."""
        ours = await self._open(VllmClient, label_kit(self._kit))
        other = await self._open(kind, label_kit(self._kit), together=1)
        # No turn asks what an earlier one asked: nobody finds a prefix that somebody else has paid for.
        return [
            Arm("ours, pairs of a query together", lambda turn: draw(2 * turn), in_order(Scorer(ours))),
            Arm(name, lambda turn: draw(2 * turn + 1).shuffled(turn), as_given(Scorer(other)), rival=True),
        ]

    async def _open(self, kind: type[Client], kit: ModelKit, **options: int) -> Client:
        served = self._served
        made = kind(kit, served.base_url, served.model, timeout=_SECONDS, concurrency=CONCURRENCY, **options)
        return await self._stack.enter_async_context(made)


def in_order(answers: Answers) -> Ask:
    """As the platform asks, whatever the order it is given."""
    return lambda asked: answer(asked.pairs, asked.prompts, answers, lambda _: None)


def as_given(answers: Answers) -> Ask:
    """In the order it is given."""
    return lambda asked: answers(asked.pairs, asked.prompts)


async def take_turns(arms: Sequence[Arm], repeats: int, server: ServedModel) -> None:
    """All arms in turn, `repeats` times, after a few pairs each that do not count."""
    for arm in arms:
        await arm.ask(arm.draw(repeats).first(WARM))
    for turn in range(repeats):
        for arm in arms:
            await _turn(arm, arm.draw(turn), server)


async def _turn(arm: Arm, asked: Asked, server: ServedModel) -> None:
    before, busy, began = await cache_counters(server.base_url), cpu_seconds(server.pid), time.perf_counter()
    arm.answers = await arm.ask(asked)
    seconds, used, after = time.perf_counter() - began, cpu_seconds(server.pid), await cache_counters(server.base_url)
    arm.prompt_tokens = asked.mean_tokens
    cpu = {name: used[name] - busy[name] for name in busy}
    arm.turns.append(Turn(len(asked.pairs), seconds, after[0] - before[0], after[1] - before[1], cpu))


def cpu_seconds(server: int) -> dict[str, float]:
    """Seconds of a core used so far: by this process, by the server's HTTP process, by all others of its session."""
    http, engine = 0.0, 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # Behind the name: state, parent, group, session, …, and eleventh and twelfth user and system time (proc(5)).
            found = stat.read_text().rpartition(")")[2].split()
            if int(found[3]) == server:
                used = (int(found[11]) + int(found[12])) / os.sysconf("SC_CLK_TCK")
                http, engine = (http + used, engine) if stat.parent.name == str(server) else (http, engine + used)
    return {"client": time.process_time(), "http": http, "engine": engine}


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
