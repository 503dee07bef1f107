"""The two markets' rules. For each kind four dimensions are strict in one market and lenient in the other, four reversed.

Strict: a near value is a conflict. Lenient: it is near, on a ladder up to two steps. Without a rule (the central market) a
near value is near, on a ladder one step.
"""

from functools import cache
from typing import Final

from lore_core.benchmark.stream import Stream
from lore_core.benchmark.vocabulary import ALIASES, DIMENSIONS, MARKETS, MOTIFS, PRODUCTS, Dimension
from lore_core.rules.model import Condition, NearEffect, Rule, RuleSet

LENIENT_STEPS: Final = 2
_WORLD: Final = "rulebook-1"


@cache
def strict_in_first(kind: str) -> frozenset[str]:
    """The four dimensions on which the first market is strict about a kind."""
    order = Stream(f"{_WORLD}/{kind}").shuffled([dimension.name for dimension in DIMENSIONS])
    return frozenset(order[: len(order) // 2])


def is_strict(market: str, kind: str, dimension: str) -> bool:
    """Whether a near value conflicts in this market."""
    return (dimension in strict_in_first(kind)) == (market == MARKETS[0])


def rule_id(market: str, dimension: str, strict: bool) -> str:
    """One word, so that a trace can cite the rule with one token."""
    place = [entry.name for entry in DIMENSIONS].index(dimension)
    return f"r{1 + 2 * (place + len(DIMENSIONS) * MARKETS.index(market)) + (not strict):02d}"


def rule_ids() -> tuple[str, ...]:
    """All ids, in the set's order."""
    return tuple(rule.id for rule in rulebook().rules)


@cache
def rulebook() -> RuleSet:
    """The world's rule set: 2 markets, 8 dimensions, strict and lenient."""
    rules = [
        _rule(market, dimension, strict) for market in MARKETS for dimension in DIMENSIONS for strict in (True, False)
    ]
    kinds = {kind: (kind, ALIASES[kind]) for kind in (*PRODUCTS, *MOTIFS)}
    lexicon = {
        dimension.name: tuple(word for value in dimension.values for word in (value, ALIASES[value]))
        for dimension in DIMENSIONS
    }
    return RuleSet(rules=tuple(rules), kinds=kinds, lexicon=lexicon)


def _rule(market: str, dimension: Dimension, strict: bool) -> Rule:
    kinds = tuple(kind for kind in (*PRODUCTS, *MOTIFS) if is_strict(market, kind, dimension.name) == strict)
    steps = (0 if strict else LENIENT_STEPS) if dimension.ladder else None
    effect = NearEffect.CONFLICT if strict else NearEffect.NEAR
    near = f"within {LENIENT_STEPS} steps" if dimension.ladder else "of the same family"
    return Rule(
        id=rule_id(market, dimension.name, strict),
        dimension=dimension.name,
        summary=f"{dimension.name} {'strict' if strict else 'lenient'}",
        principle=f"In the {market} market a {dimension.name} {near} is {'a conflict' if strict else 'near'}.",
        details=(f"applies to {', '.join(kinds)}",),
        market=market,
        condition=Condition(categories=kinds, near=effect, tolerance_steps=steps),
    )
