"""Scores of one tier's predictor, checked before anybody believes them."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from lore_core.headcache.items import QueryItem
from lore_core.keepalive import UpstreamError
from lore_core.prompts import ModelKit, PromptTooLong, RenderedPrompt, RuleSource
from lore_core.router.config import PredictorTier, route_of
from lore_core.router.deadline import Deadlines
from lore_core.router.guard import Guard
from lore_core.router.hedge import hedged
from lore_core.router.upstream import Upstream
from lore_core.scoring.client import LabelRoute
from lore_core.scoring.scores import LabelScore

Score = tuple[float, float, float, float]
Scores = list[Score]
_SUM_TOLERANCE = 1e-3
_LIST = 8
"""Prompts of one question in a request, at most: what a request costs beside its tokens is then shared (docs/scoring.md)."""
_FIRST_QUESTION = QueryItem("first question", "", "first question")
_FIRST_SECONDS = 15.0
_NOT_TAKEN = frozenset({400, 413, 422})
"""What vLLM answers to a picture that it cannot read."""


class PictureRefused(Exception):
    """The predictor takes no prompt with this picture, such as a broken file. That says nothing about the predictor."""


_FAULTLESS = (PromptTooLong, PictureRefused)


class BadScore(Exception):
    """The predictor answered something that is not four probabilities."""


class Resting(Exception):
    """The tier's predictor is being replaced; the next tier is asked instead."""


class Effort(msgspec.Struct):
    """What a tier was asked for one question, attempts that failed included.

    `seconds` are those of all its requests together, from sending to answer or failure; tokens are those of the prompts
    sent and of the generated traces received.
    """

    prompt_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    retries: int = 0
    hedges: int = 0


class Predictor:
    """One tier of one composition: prompts by the model's own kit, requests over a shared connection pool."""

    def __init__(self, tier: PredictorTier, kit: ModelKit, rules: RuleSource, upstream: Upstream, guard: Guard) -> None:
        """Raises ValueError where the route cannot serve the kit's layout."""
        if tier.route is not route_of(kit.contract.layout):
            raise ValueError(f"route {tier.route} cannot serve a model of layout {kit.contract.layout}")
        self._deadlines = Deadlines(tier.deadline_ms / 1000)
        self.shows_pictures = kit.contract.image_tokens is not None
        self._kit, self._rules, self._guard, self.rests = kit, rules, guard, tier.rests
        self._hedge = tier.guard.hedge_ms / 1000 if tier.guard.hedge_ms is not None else None
        self._slots = asyncio.Semaphore(tier.max_connections)
        self.backend, self._route = upstream, LabelRoute(kit, tier.model_name, upstream.post)
        self._list = _LIST if self._route.together and not self.shows_pictures else 1

    async def score(self, records: Sequence[QueryItem], effort: Effort) -> Scores:
        """Four probabilities of each of n records, all or nothing; what it took is added to `effort`.

        Raises Resting, Shed or CircuitOpen at once, TimeoutError after the tier's deadline, or whatever failed.
        """
        if self.rests:
            raise Resting("its predictor is being replaced")
        # A query that no prompt can hold says nothing about the backend.
        with self._guard.admitted(_FAULTLESS), self._deadlines.begin():
            if len(records) <= self._list:
                return await self._asked(records, effort)
            return await self._together(records, effort)

    @property
    def cold(self) -> bool:
        """Whether this router never had a score from the backend, though it is to be asked."""
        return not self.rests and not self.backend.answered

    async def warm_up(self) -> None:
        """Have a made-up question answered, so that no caller waits for names, connections and a model's first computation.

        Raises what failed, TimeoutError after 15 seconds or the tier's deadline if that is longer. The breaker learns nothing.
        """
        async with asyncio.timeout(max(self._deadlines.seconds, _FIRST_SECONDS)):
            await self._asked([_FIRST_QUESTION], Effort())

    async def _together(self, records: Sequence[QueryItem], effort: Effort) -> Scores:
        """Lists side by side: nobody waits for another question's prompts, however idle or busy the backend is."""
        lists = [records[start : start + self._list] for start in range(0, len(records), self._list)]
        tasks = [asyncio.ensure_future(self._bounded(one, effort)) for one in lists]
        try:
            return [score for scores in await asyncio.gather(*tasks) for score in scores]
        finally:
            for task in tasks:
                task.cancel()

    async def _bounded(self, records: Sequence[QueryItem], effort: Effort) -> Scores:
        async with self._slots:
            return await self._asked(records, effort)

    async def _asked(self, records: Sequence[QueryItem], effort: Effort) -> Scores:
        """Scores of what one request holds."""
        prompts = [self._kit.render(record, self._rules(record)) for record in records]
        try:
            found = await (self._tried if self._hedge is None else self._hedged)(prompts, effort)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise BadScore(f"{type(error).__name__}: {error}") from error
        scores = [one.probabilities for one in found]
        for four in scores:
            # What is no number makes a sum that fails the comparison.
            if not (min(four) >= 0 and abs(sum(four) - 1) <= _SUM_TOLERANCE):
                raise BadScore(f"not four probabilities: {four}")
        self.backend.answered = True
        return scores

    async def _hedged(self, prompts: Sequence[RenderedPrompt], effort: Effort) -> list[LabelScore]:
        """Ask, and beside a slow request once more, as far as the retry budget goes."""
        assert self._hedge is not None

        def allowed() -> bool:
            effort.hedges += (may := self._guard.may_retry())
            return may

        return await hedged(lambda: self._tried(prompts, effort), self._hedge, allowed)

    async def _tried(self, prompts: Sequence[RenderedPrompt], effort: Effort) -> list[LabelScore]:
        """Ask, and where the backend broke off, ask once more as far as the retry budget goes."""
        again = False
        while True:
            started = time.perf_counter()
            effort.prompt_tokens += self._route.tokens(prompts)
            try:
                scores = (
                    [await self._route.score_one(prompts[0])]  # by a shorter way
                    if len(prompts) == 1
                    else await self._route.score_each(prompts)
                )
            except (UpstreamError, OSError) as error:
                if again or not self._may_pass(prompts[0], error):
                    raise
                again = True
                effort.retries += 1
            else:
                effort.output_tokens += sum([score.output_tokens for score in scores])
                return scores
            finally:
                effort.seconds += time.perf_counter() - started

    def _may_pass(self, prompt: RenderedPrompt, error: UpstreamError | OSError) -> bool:
        """Whether another attempt may succeed, and the budget has one. Raises PictureRefused where the picture is at fault."""
        if not isinstance(error, UpstreamError):
            return not isinstance(error, TimeoutError) and self._guard.may_retry()
        if prompt.picture is not None and error.status in _NOT_TAKEN:
            raise PictureRefused(str(error)) from error
        return error.passing and self._guard.may_retry()
