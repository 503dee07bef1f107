"""Compute seconds of a pair at the torso's and at the tail's predictor: a real vLLM each, asked by the router's own code.

Pages are those of one query each, as many pairs as the replayed day's: queries and items of the generated benchmark's gate
split, since the replay's shop has no words that a model knows. No turn asks a query that an earlier one asked, as a tail's
queries are new. Both servers run throughout and take turns.

Compute seconds are core-seconds of all processes of the predictor on a CPU, with one thread for its sums unless
OMP_NUM_THREADS says otherwise, and seconds by the clock of its one GPU where there is one. What the router's side takes is
measured beside, and is in neither.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Final

from benchmarks.replay.models import Model
from benchmarks.scoring.arms import cpu_seconds
from benchmarks.scoring.models import SEED, gate_pairs
from lore_core.benchmark.rulebook import rulebook
from lore_core.headcache import Features, QueryItem
from lore_core.jobs import ServingProfile
from lore_core.prompts import RuleSource
from lore_core.router.config import PinnedRef, PredictorTier, route_of
from lore_core.router.guard import Guard, GuardLimits
from lore_core.router.predictor import Effort, Predictor
from lore_core.router.upstream import Upstream
from lore_core.scoring.client import all_of
from lore_core.scoring.engine import gpu_present
from lore_core.scoring.server import LocalServer, ServedModel

PAGES_AT_ONCE: Final = 4
"""Enough that a page's last pairs do not wait alone: the router's connections are all in use."""
_GATE_PAIRS: Final = 240
"""Of every subset: over 200 queries."""
_DEADLINE: Final = 600_000
"""Milliseconds: an answer is timed, however late it is."""
_SHARED_GPU: Final = ("--gpu-memory-utilization", "0.45")

Page = list[QueryItem]


@dataclass(frozen=True)
class Sizes:
    """Turns of each predictor, pages of a turn, pairs of a page."""

    turns: int
    pages: int
    page: int


@dataclass(frozen=True)
class Turn:
    """Pairs asked, seconds by the clock, core-seconds of the predictor and of the router's side, tokens."""

    pairs: int
    wall: float
    predictor: float
    router: float
    prompt_tokens: int
    output_tokens: int

    def compute(self, gpus: int) -> float:
        """Compute seconds of a pair: of `gpus` GPUs that were held the whole time, or of cores where there is none."""
        return (self.wall * gpus if gpus else self.predictor) / self.pairs


@dataclass(frozen=True)
class Timed:
    """A predictor's turns; `gpus` is how many it has."""

    turns: Sequence[Turn]
    gpus: int

    @property
    def seconds(self) -> float:
        """Compute seconds of a pair, the median of the turns."""
        return statistics.median(self.each)

    @property
    def each(self) -> list[float]:
        """Those of every turn."""
        return [turn.compute(self.gpus) for turn in self.turns]

    @property
    def rate(self) -> float:
        """Pairs a second by the clock, the median of the turns."""
        return statistics.median(turn.pairs / turn.wall for turn in self.turns)

    @property
    def router(self) -> float:
        """Core-seconds of a pair at the router's side, over all turns."""
        return sum(turn.router for turn in self.turns) / self.pairs

    @property
    def prompt_tokens(self) -> float:
        """Mean of a pair."""
        return sum(turn.prompt_tokens for turn in self.turns) / self.pairs

    @property
    def output_tokens(self) -> float:
        """Tokens of reasoning, mean of a pair."""
        return sum(turn.output_tokens for turn in self.turns) / self.pairs

    @property
    def pairs(self) -> int:
        """Of all turns."""
        return sum(turn.pairs for turn in self.turns)


@dataclass
class _Asked:
    """A predictor as the router holds it, its server, and its turns so far."""

    predictor: Predictor
    upstream: Upstream
    server: ServedModel
    turns: list[Turn] = field(default_factory=list)


def dtype() -> str:
    """Of both models: what the demo serves on a CPU, and what a GPU is made for."""
    return "bfloat16" if gpu_present() else "float32"


def pages(count: int, size: int) -> list[Page]:
    """`count` pages of `size` items, a query each: the items it is judged with, then others of the split at random."""
    own: dict[tuple[str, str], dict[str, Features]] = {}
    every: dict[str, Features] = {}
    for pair in gate_pairs(_GATE_PAIRS):
        shown = Features(pair.title, pair.shop_name, dict(pair.cpv_sku), pair.vqa_result)
        own.setdefault((pair.query, pair.market), {})[pair.item_id] = every[pair.item_id] = shown
    if count > len(own) or size > len(every):
        raise ValueError(f"the split has {len(own)} queries and {len(every)} items; asked for {count} pages of {size}")
    random, found = Random(SEED), []
    queries = random.sample(sorted(own), count)
    for query, market in queries:
        items = own[query, market]
        others = [every[name] for name in random.sample(sorted(every.keys() - items.keys()), size)]
        found.append([QueryItem.of(query, market, item) for item in [*items.values(), *others][:size]])
    return found


def timed(models: Sequence[Model], sizes: Sizes) -> list[Timed]:
    """A vLLM server for every model, each asked in turn. Raises ServerError where one does not come up."""
    with ExitStack() as stack:
        # Threads that wait for each other spin: that would be billed, and most on a machine that does other work.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        servers = [stack.enter_context(_server(model)) for model in models]
        turns = asyncio.run(_take_turns([*zip(models, servers, strict=True)], sizes))
    return [Timed(each, int(gpu_present())) for each in turns]


def _server(model: Model) -> LocalServer:
    profile = ServingProfile.model_validate({"image": "local", "dtype": dtype(), "maxModelLen": model.kit.max_sequence})
    return LocalServer(model.folder, profile, flags=_SHARED_GPU if gpu_present() else ())


async def _take_turns(served: Sequence[tuple[Model, ServedModel]], sizes: Sizes) -> list[list[Turn]]:
    every = pages((sizes.turns + 1) * sizes.pages, sizes.page)
    batches = [every[start : start + sizes.pages] for start in range(0, len(every), sizes.pages)]
    asked = [_asked(model, server) for model, server in served]
    for one in asked:  # what a first request builds and loads is not a pair's
        await _ask(one.predictor, batches[0])
    for batch in batches[1:]:
        for one in asked:
            one.turns.append(await _turn(one, batch))
    for one in asked:
        one.upstream.retire()
    return [one.turns for one in asked]


def _asked(model: Model, server: ServedModel) -> _Asked:
    kit = model.kit
    tier = PredictorTier(
        url=server.base_url,
        model_name=server.model,
        # Where a router would fetch the kit from; here it is at hand.
        kit=PinnedRef(uri=model.folder.absolute().as_uri(), digest=kit.contract.prompt_digest),
        route=route_of(kit.contract.layout),
        deadline_ms=_DEADLINE,
    )
    upstream = Upstream(tier.url, tier.max_connections)
    rules = RuleSource(kit.contract.rule_mode, rulebook())
    return _Asked(Predictor(tier, kit, rules, upstream, Guard(GuardLimits())), upstream, server)


async def _turn(asked: _Asked, batch: Sequence[Page]) -> Turn:
    before, began = cpu_seconds(asked.server.pid), time.perf_counter()
    effort = await _ask(asked.predictor, batch)
    wall, after = time.perf_counter() - began, cpu_seconds(asked.server.pid)
    used = {name: after[name] - before[name] for name in after}
    pairs = sum(map(len, batch))
    router = used.pop("client")
    return Turn(pairs, wall, sum(used.values()), router, effort.prompt_tokens, effort.output_tokens)


async def _ask(predictor: Predictor, batch: Sequence[Page]) -> Effort:
    """Scores of all pages, a few at once; what the first failure raises."""
    effort, slots = Effort(), asyncio.Semaphore(PAGES_AT_ONCE)

    async def one(page: Page) -> None:
        async with slots:
            await predictor.score(page, effort)

    await all_of([one(page) for page in batch])
    return effort
