"""Labels a record from its words, the fact lines and the rule set alone: proof that the world can be solved as written."""

from collections.abc import Iterable
from typing import Final

from lore_core.benchmark.vocabulary import BESIDE, COMPANION, KIND, SHOWS
from lore_core.records.label import Label
from lore_core.records.pair import Pair, TraceStep
from lore_core.records.verdict import Verdict, trace_label
from lore_core.rules import Condition, NearEffect, Rule, RuleSet, retrieve

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
        return trace_label(self.steps(pair, self.path(pair.query)))

    def path(self, query: str) -> tuple[tuple[str, str, str], ...]:
        """The query's demands, the kind first, then in its order: word, dimension, meaning."""
        meant = [(word, self._meaning.get(word, word)) for word in query.split()]
        found = [(word, self._dimension[term], term) for word, term in meant if term in self._dimension]
        return tuple(sorted(found, key=lambda demand: demand[1] != KIND))

    def steps(self, pair: Pair, path: Iterable[tuple[str, str, str]]) -> tuple[TraceStep, ...]:
        """The path followed: the kind's step alone where that is another, else a step a demand."""
        item, demands = self._item(pair), {dimension: meaning for _, dimension, meaning in path}
        kind = demands.pop(KIND)
        verdict = self._verdicts[kind, item[KIND]]
        first = TraceStep(dimension=KIND, demand=kind, evidence=item[KIND], verdict=verdict.value)
        if verdict is Verdict.OTHER:
            return (first,)
        rules = self._conditions(pair, kind)
        return (first, *(self.step(name, word, item[name], rules.get(name)) for name, word in demands.items()))

    def step(self, dimension: str, wanted: str, found: str, rule: Rule | None) -> TraceStep:
        """One demand judged; the rule is cited where it was asked."""
        verdict = self._verdict(wanted, found, rule.condition if rule else None)
        cited = rule.id if rule and verdict is not Verdict.MATCH else ""
        return TraceStep(dimension=dimension, demand=wanted, evidence=found, rule=cited, verdict=verdict.value)

    def _item(self, pair: Pair) -> dict[str, str]:
        """What the item's own part of title, attributes and picture says, by dimension."""
        main = pair.vqa_result.removeprefix(SHOWS).partition(BESIDE)[0] or pair.title.partition(COMPANION)[0]
        own = [text.partition(COMPANION)[0].strip() for text in pair.cpv_sku.values()]
        return {self._dimension[word]: word for word in [*main.split(), *own]}

    def _conditions(self, pair: Pair, kind: str) -> dict[str, Rule]:
        found = retrieve(self._rules, pair.query, pair.market).by_query
        return {r.dimension: r for r in found if r.condition is not None and r.condition.covers(kind)}

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
