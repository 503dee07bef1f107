"""Where a composition looks head scores up: in its mapped generation, or in a store that is asked over the network."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from lore_core.headcache.generation import Hashes, HeadGeneration, Lookup
from lore_core.headcache.redis_store import RedisHead
from lore_core.headcache.reuse import Scorer
from lore_core.router.config import HeadStore
from lore_core.router.guard import Guard, GuardLimits

_CONNECT_AND_ANSWER: Final = 2


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is looked up for one query: content hashes, and item hashes unless the documents are texts without ids."""

    query: int
    content: Hashes
    items: Hashes | None

    @classmethod
    def of(cls, query: int, content: Sequence[int], items: Sequence[int] | None) -> "Pairs":
        """From plain numbers."""
        hashed = np.array(items, dtype=np.uint64) if items is not None else None
        return cls(query, np.array(content, dtype=np.uint64), hashed)

    def found_in(self, generation: HeadGeneration) -> Lookup:
        """Their scores in a generation."""
        if self.items is None:
            return generation.lookup_texts(self.query, self.content)
        return generation.lookup(self.query, self.items, self.content)


class Store:
    """A head store behind a circuit breaker: one that hangs costs callers its time-out only for a moment."""

    def __init__(self, given: HeadStore, scorer: Scorer) -> None:
        self._seconds = given.timeout_ms / 1000
        credentials = Path(given.credentials) if given.credentials is not None else None
        self._head = RedisHead(given.url, scorer, self._seconds, credentials)
        self._guard = Guard(GuardLimits())

    async def lookup(self, pairs: Pairs) -> Lookup:
        """Scores of pairs. Raises Shed, CircuitOpen or what the store raises."""
        with self._guard.admitted():
            if pairs.items is None:
                return await self._head.lookup_texts(pairs.query, pairs.content)
            return await self._head.lookup(pairs.query, pairs.items, pairs.content)

    async def retire(self) -> None:
        """Close the connections once no lookup can be under way any more."""
        await asyncio.sleep(_CONNECT_AND_ANSWER * self._seconds)
        await self._head.close()
