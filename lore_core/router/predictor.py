"""Scores of one tier's predictor, checked before anybody believes them."""

import asyncio
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lore_core.headcache.items import QueryItem
from lore_core.prompts import ModelKit, PromptLayout, PromptTooLong, RenderedPrompt, RuleSource
from lore_core.router.config import PredictorTier, Route
from lore_core.router.guard import Guard
from lore_core.router.upstream import Upstream, UpstreamError
from lore_core.scoring.client import LabelRoute
from lore_core.scoring.scores import LabelScore

Array = npt.NDArray[np.float64]
_SUM_TOLERANCE = 1e-3
_FAULTLESS = (PromptTooLong,)


class BadScore(Exception):
    """The predictor answered something that is not four probabilities."""


class Predictor:
    """One tier of one composition: prompts by the model's own kit, requests over a shared connection pool."""

    def __init__(self, tier: PredictorTier, kit: ModelKit, rules: RuleSource, upstream: Upstream, guard: Guard) -> None:
        """Raises ValueError where the route cannot serve the kit's layout."""
        classifier = kit.contract.layout is PromptLayout.CLASSIFIER
        if classifier != (tier.route is Route.CLASSIFY):
            raise ValueError(f"route {tier.route} cannot serve a model of layout {kit.contract.layout}")
        self.deadline = tier.deadline_ms / 1000
        self._kit, self._rules, self._guard = kit, rules, guard
        self._slots = asyncio.Semaphore(tier.max_connections)
        self._route = LabelRoute(kit, tier.model_name, upstream.post)

    async def score(self, records: Sequence[QueryItem]) -> Array:
        """n×4 probabilities of n records, all or nothing.

        Raises Shed or CircuitOpen at once, TimeoutError after the tier's deadline, or whatever failed.
        """
        # A query that no prompt can hold says nothing about the backend.
        with self._guard.admitted(_FAULTLESS):
            async with asyncio.timeout(self.deadline):
                return await self._scored(records)

    async def _scored(self, records: Sequence[QueryItem]) -> Array:
        if len(records) == 1:
            return np.array([await self._one(records[0])])
        tasks = [asyncio.ensure_future(self._bounded(record)) for record in records]
        try:
            return np.array(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _bounded(self, record: QueryItem) -> tuple[float, ...]:
        async with self._slots:
            return await self._one(record)

    async def _one(self, record: QueryItem) -> tuple[float, ...]:
        prompt = self._kit.render(record, self._rules(record))
        try:
            found = (await self._asked(prompt)).probabilities
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise BadScore(f"{type(error).__name__}: {error}") from error
        if not (all(math.isfinite(p) and p >= 0 for p in found) and abs(sum(found) - 1) <= _SUM_TOLERANCE):
            raise BadScore(f"not four probabilities: {found}")
        return found

    async def _asked(self, prompt: RenderedPrompt) -> LabelScore:
        """Ask, and where the backend broke off, ask once more as far as the retry budget goes."""
        try:
            return await self._route.score_one(prompt)
        except (UpstreamError, OSError) as error:
            passing = not isinstance(error, UpstreamError) or error.passing
            if isinstance(error, TimeoutError) or not passing or not self._guard.may_retry():
                raise
        return await self._route.score_one(prompt)
