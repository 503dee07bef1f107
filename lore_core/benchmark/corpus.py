"""What the base model is pretrained on: facts, rules, catalogue text and reasoning about queries; never a label.

Facts are worded as the steps of a trace are, so that what a base knows of values is what think-first training uses.
"""

from collections.abc import Iterable, Iterator
from itertools import permutations

from lore_core.benchmark.blocks import draw_block
from lore_core.benchmark.rulebook import is_strict, rule_id, rulebook
from lore_core.benchmark.stream import Stream
from lore_core.benchmark.things import Demand, Offer, compare
from lore_core.benchmark.vocabulary import (
    ALIASES,
    CENTRAL,
    DIMENSION_OF,
    DIMENSIONS,
    KIND,
    MARKETS,
    MOTIFS,
    PRODUCTS,
)
from lore_core.benchmark.wording import attributes, caption, query_text, title
from lore_core.benchmark.world import PLANS, World
from lore_core.records.verdict import Verdict


def facts() -> Iterator[str]:
    """How any two values stand to each other without a rule, and what every alias means."""
    for kind, other in permutations((*PRODUCTS, *MOTIFS), 2):
        yield f"{KIND} {kind} {other} {Verdict.OTHER}"
    for dimension in DIMENSIONS:
        for wanted in dimension.values:
            for found in dimension.values:
                verdict, _ = compare(PRODUCTS[0], dimension.name, wanted, found, CENTRAL)
                yield f"{dimension.name} {wanted} {found} {verdict}"
        if dimension.ladder:
            yield from (f"{low} next {high}" for low, high in zip(dimension.values, dimension.values[1:], strict=False))
    for kind in (*PRODUCTS, *MOTIFS):
        yield f"{KIND} {kind} {kind} {Verdict.MATCH}"
    for term, alias in ALIASES.items():
        yield f"{alias} means {term}"
        yield f"{alias} is {DIMENSION_OF[term]} {term}"


def rule_facts() -> Iterator[str]:
    """What each rule says, where it applies, and what it makes of every two near values."""
    for rule in rulebook().rules:
        yield rule.line
    for market in MARKETS:
        for kind in (*PRODUCTS, *MOTIFS):
            for dimension in DIMENSIONS:
                cited = rule_id(market, dimension.name, is_strict(market, kind, dimension.name))
                yield f"{market} {kind} {dimension.name} {cited}"
    yield from sorted(set(_rule_steps()))


def _rule_steps() -> Iterator[str]:
    for market in MARKETS:
        for kind in PRODUCTS:
            for dimension in DIMENSIONS:
                for wanted, found in permutations(dimension.values, 2):
                    verdict, rule = compare(kind, dimension.name, wanted, found, market)
                    if rule:
                        yield f"{dimension.name} {wanted} {found} {rule} {verdict}"


def catalogue(offers: Iterable[Offer]) -> Iterator[str]:
    """Each item as a prompt shows it, and what its main thing is."""
    for offer in offers:
        text = " ; ".join(f"{name} {value}" for name, value in attributes(offer).items())
        parts = [part for part in (title(offer), offer.shop, text, caption(offer)) if part]
        # Out of order, so that a base learns to look a value up by its dimension, as a trace does, not to copy in sequence.
        names = Stream(f"states-1/{offer.item_id}").shuffled(list(offer.main.values))
        states = " ; ".join(f"{name} {offer.main.values[name]}" for name in names)
        yield f"{' '.join(parts)} is {KIND} {offer.main.kind} ; {states}"


def reasoning(world: World, queries: int) -> Iterator[str]:
    """Knowledge reasoning: what training-side queries want, aliases resolved; novel aliases too, always without an item."""
    stream = Stream(f"reasoning-1/{world.seed}")
    plans = [plan for group in PLANS.values() for plan in group]
    number = 0
    while queries > 0:
        block = draw_block(stream.pick(plans), "train", world.seed, 1_000_000 + number)
        number += 1
        for demand in block.demands[:queries]:
            aliased = frozenset(part for part in (KIND, *demand.values) if stream.chance(50))
            yield wants(Demand(demand.kind, demand.values, aliased, demand.template))
        queries -= len(block.demands)


def wants(demand: Demand) -> str:
    """A query and, in its own order, what it wants."""
    values = " ; ".join(f"{name} {value}" for name, value in demand.values.items())
    return f"{query_text(demand)} wants {KIND} {demand.kind} ; {values}"
