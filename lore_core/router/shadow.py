"""Mirrored traffic: a candidate answers some of the stable composition's questions, too, unseen by callers; both are compared."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lore_core.router.answering import NEUTRAL, Answer, Question, begin_on, finish
from lore_core.router.config import FULL_WEIGHT, Stratum
from lore_core.router.decision import SLOTS, slot
from lore_core.router.loaded import Serving
from lore_core.router.requests import Asked
from lore_core.strata.normaliser import query_key

_MOST_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Comparison:
    """One question answered by both: items that both scored, how many got the same label, and the sum of grade differences."""

    revision: str
    stratum: Stratum
    answered: bool
    items: int
    agreeing: int
    grade_difference: float


class Shadow:
    """Mirrors questions to the composition that the configuration shadows; beyond a number at once they are left out."""

    def __init__(self, compared: Callable[[Comparison], None]) -> None:
        self._compared = compared
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, serving: Serving, asked: Asked, answer: Answer) -> None:
        """A question with its answer; returns at once."""
        composition = serving.config.shadowed()
        if composition is None or answer.revision != serving.config.stable or len(self._tasks) >= _MOST_AT_ONCE:
            return
        percent = composition.shadow_percent or 0
        if slot(query_key(asked.query), composition.revision) * FULL_WEIGHT < percent * SLOTS:
            task = asyncio.ensure_future(self._mirror(serving, composition.revision, asked, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _mirror(self, serving: Serving, revision: str, asked: Asked, answer: Answer) -> None:
        try:
            found = begin_on(serving, revision, asked)
            if isinstance(found, Question):
                found = await finish(found)
            self._compared(compare(answer, found))
        except Exception as error:  # nobody waits for it, and callers must not notice
            print(f"router: shadow of {revision}: {type(error).__name__}: {error}", file=sys.stderr)


def compare(shown: Answer, mirrored: Answer) -> Comparison:
    """What the two agree on, of the items that a tier scored in both. The stratum is that of the answer shown."""
    rows = [
        row
        for row, tiers in enumerate(zip(shown.tiers, mirrored.tiers, strict=True))
        if NEUTRAL not in tiers
    ]  # fmt: skip
    agreeing = sum(shown.labels[row] == mirrored.labels[row] for row in rows)
    difference = sum(abs(shown.grades[row] - mirrored.grades[row]) for row in rows)
    answered = mirrored.tier != NEUTRAL
    return Comparison(mirrored.revision, shown.stratum, answered, len(rows), agreeing, difference)
