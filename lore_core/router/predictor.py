"""Scores of one tier's predictor, checked before anybody believes them."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from lore_core.headcache.items import QueryItem
from lore_core.keepalive import UpstreamError
from lore_core.prompts import ModelKit, PromptLayout, PromptTooLong, RenderedPrompt, RuleSource
from lore_core.router.config import PredictorTier, Route
from lore_core.router.deadline import Deadlines
from lore_core.router.guard import Guard
from lore_core.router.hedge import hedged
from lore_core.router.upstream import Upstream
from lore_core.scoring.client import LabelRoute
from lore_core.scoring.scores import LabelScore

Score = tuple[float, float, float, float]
Scores = list[Score]
_SUM_TOLERANCE = 1e-3
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
        classifier = kit.contract.layout is PromptLayout.CLASSIFIER
        if classifier != (tier.route is Route.CLASSIFY):
            raise ValueError(f"route {tier.route} cannot serve a model of layout {kit.contract.layout}")
        self._deadlines = Deadlines(tier.deadline_ms / 1000)
        self.shows_pictures = kit.contract.image_tokens is not None
        self._kit, self._rules, self._guard, self.rests = kit, rules, guard, tier.rests
        self._hedge = tier.guard.hedge_ms / 1000 if tier.guard.hedge_ms is not None else None
        self._slots = asyncio.Semaphore(tier.max_connections)
        self.backend, self._route = upstream, LabelRoute(kit, tier.model_name, upstream.post)

    async def score(self, records: Sequence[QueryItem], effort: Effort) -> Scores:
        """Four probabilities of each of n records, all or nothing; what it took is added to `effort`.

        Raises Resting, Shed or CircuitOpen at once, TimeoutError after the tier's deadline, or whatever failed.
        """
        if self.rests:
            raise Resting("its predictor is being replaced")
        # A query that no prompt can hold says nothing about the backend.
        with self._guard.admitted(_FAULTLESS), self._deadlines.begin():
            if len(records) == 1:
                return [await self._one(records[0], effort)]
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
            await self._one(_FIRST_QUESTION, Effort())

    async def _together(self, records: Sequence[QueryItem], effort: Effort) -> Scores:
        tasks = [asyncio.ensure_future(self._bounded(record, effort)) for record in records]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _bounded(self, record: QueryItem, effort: Effort) -> Score:
        async with self._slots:
            return await self._one(record, effort)

    async def _one(self, record: QueryItem, effort: Effort) -> Score:
        prompt = self._kit.render(record, self._rules(record))
        try:
            found = (await (self._tried if self._hedge is None else self._hedged)(prompt, effort)).probabilities
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise BadScore(f"{type(error).__name__}: {error}") from error
        # What is no number makes a sum that fails the comparison.
        if not (min(found) >= 0 and abs(sum(found) - 1) <= _SUM_TOLERANCE):
            raise BadScore(f"not four probabilities: {found}")
        self.backend.answered = True
        return found

    async def _hedged(self, prompt: RenderedPrompt, effort: Effort) -> LabelScore:
        """Ask, and beside a slow request once more, as far as the retry budget goes."""
        assert self._hedge is not None

        def allowed() -> bool:
            effort.hedges += (may := self._guard.may_retry())
            return may

        return await hedged(lambda: self._tried(prompt, effort), self._hedge, allowed)

    async def _tried(self, prompt: RenderedPrompt, effort: Effort) -> LabelScore:
        """Ask, and where the backend broke off, ask once more as far as the retry budget goes."""
        again = False
        while True:
            started = time.perf_counter()
            effort.prompt_tokens += len(prompt.token_ids)
            try:
                score = await self._route.score_one(prompt)
            except (UpstreamError, OSError) as error:
                if again or not self._may_pass(prompt, error):
                    raise
                again = True
                effort.retries += 1
            else:
                effort.output_tokens += score.output_tokens
                return score
            finally:
                effort.seconds += time.perf_counter() - started

    def _may_pass(self, prompt: RenderedPrompt, error: UpstreamError | OSError) -> bool:
        """Whether another attempt may succeed, and the budget has one. Raises PictureRefused where the picture is at fault."""
        if not isinstance(error, UpstreamError):
            return not isinstance(error, TimeoutError) and self._guard.may_retry()
        if prompt.picture is not None and error.status in _NOT_TAKEN:
            raise PictureRefused(str(error)) from error
        return error.passing and self._guard.may_retry()
