"""Labels a record from its words, the fact lines and the rule set alone: proof that the world can be solved as written."""

from collections.abc import Iterable
from typing import Final

from lore_core.benchmark.vocabulary import BESIDE, COMPANION, KIND, SHOWS
from lore_core.records.label import Label
from lore_core.records.pair import Pair
from lore_core.records.verdict import Verdict, aggregate
from lore_core.rules import Condition, NearEffect, RuleSet, retrieve

_VERDICTS: Final = frozenset(verdict.value for verdict in Verdict)
_EFFECT: Final = {NearEffect.NEAR: Verdict.NEAR, NearEffect.CONFLICT: Verdict.CONFLICT}


class Oracle:
    """Knows what the facts say. Reads neither gold nor trace of a record."""

    def __init__(self, facts: Iterable[str], rules: RuleSet) -> None:
        self._rules = rules
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._dimension: dict[str, str] = {}
        self._meaning: dict[str, str] = {}
        self._next: dict[str, str] = {}
        for fact in facts:
            self._learn(fact.split())

    def _learn(self, fact: list[str]) -> None:
        match fact:
            case [dimension, wanted, found, verdict] if verdict in _VERDICTS:
                self._verdicts[wanted, found] = Verdict(verdict)
                self._dimension[wanted] = dimension
            case [alias, "means", term]:
                self._meaning[alias] = term
            case [low, "next", high]:
                self._next[low] = high

    def label(self, pair: Pair) -> Label:
        """The label; KeyError where the record uses words that no fact speaks of."""
        wanted = [self._meaning.get(word, word) for word in pair.query.split()]
        demands = {self._dimension[word]: word for word in wanted if word in self._dimension}
        item = self._item(pair)
        kind = demands.pop(KIND)
        if self._verdicts[kind, item[KIND]] is Verdict.OTHER:
            return Label.L1
        conditions = self._conditions(pair, kind)
        return aggregate(self._verdict(word, item[name], conditions.get(name)) for name, word in demands.items())

    def _item(self, pair: Pair) -> dict[str, str]:
        """What the item's own part of title, attributes and picture says, by dimension."""
        main = pair.vqa_result.removeprefix(SHOWS).partition(BESIDE)[0] or pair.title.partition(COMPANION)[0]
        own = [text.partition(COMPANION)[0].strip() for text in pair.cpv_sku.values()]
        return {self._dimension[word]: word for word in [*main.split(), *own]}

    def _conditions(self, pair: Pair, kind: str) -> dict[str, Condition]:
        found = retrieve(self._rules, pair.query, pair.market).by_query
        return {r.dimension: r.condition for r in found if r.condition is not None and r.condition.covers(kind)}

    def _verdict(self, wanted: str, found: str, condition: Condition | None) -> Verdict:
        verdict = self._verdicts[wanted, found]
        if condition is None or verdict is Verdict.MATCH:
            return verdict
        if condition.tolerance_steps is None:
            return _EFFECT[condition.near] if verdict is Verdict.NEAR else verdict
        return Verdict.NEAR if self._steps(wanted, found) <= condition.tolerance_steps else Verdict.CONFLICT

    def _steps(self, one: str, two: str) -> int:
        """Ladder steps between two different values, in either direction."""
        for low, high in ((one, two), (two, one)):
            steps, place = 0, low
            while place != high and place in self._next:
                steps, place = steps + 1, self._next[place]
            if place == high:
                return steps
        raise KeyError(f"no ladder leads from {one} to {two}")
