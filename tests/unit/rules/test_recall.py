"""Retrieval finds the rule that the judge needed among five, also in a set full of rules that do not matter."""

import random
from collections.abc import Callable, Iterable

import pytest

from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.records import Pair
from lore_core.rules import Rule, RuleSet, retrieve

COMMON = ("buy", "need", "find", "cheap", "online", "today", "kettle", "lamp", "poster", "with")


@pytest.fixture(scope="module")
def ruled() -> list[Pair]:
    return list(World(17, Scale(train=1, tune=1, calibration=1, gate=51)).pairs("gate", "rules"))


def recall(pairs: Iterable[Pair], shown: Callable[[Pair], Iterable[Rule]]) -> float:
    """Share of the rules cited by the judges' own traces that are among those shown."""
    cited = [(step.rule, {rule.id for rule in shown(pair)}) for pair in pairs for step in pair.trace if step.rule]
    return sum(rule in ids for rule, ids in cited) / len(cited)


def retrieved(rules: RuleSet) -> Callable[[Pair], Iterable[Rule]]:
    return lambda pair: retrieve(rules, pair.query, pair.market, pair.cpv_sku, limit=5).by_query


def test_recall_at_five(ruled: list[Pair]) -> None:
    assert recall(ruled, retrieved(rulebook())) >= 0.95


def test_recall_at_five_among_irrelevant_rules_that_share_common_words(ruled: list[Pair]) -> None:
    rng = random.Random(1)
    irrelevant = [
        Rule(id=f"n{n}", dimension="service", summary=" ".join(rng.sample(COMMON, 3)), market=rng.choice(("", "north")))
        for n in range(300)
    ]
    world = rulebook()
    for rules in ((*irrelevant, *world.rules), (*world.rules, *irrelevant)):
        full = RuleSet(rules=rules, kinds=world.kinds, lexicon=world.lexicon)
        assert recall(ruled, retrieved(full)) >= 0.95


def test_irrelevant_rules_alone_would_not_do(ruled: list[Pair]) -> None:
    rng = random.Random(1)
    assert recall(ruled, lambda _: rng.sample(rulebook().rules, 5)) <= 0.3
