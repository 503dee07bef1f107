from itertools import product

import pytest

from lore_core.benchmark.corpus import facts
from lore_core.benchmark.oracle import Oracle
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.things import compare
from lore_core.benchmark.vocabulary import BY_NAME, MARKETS, MOTIFS, PRODUCTS
from lore_core.benchmark.world import SPLITS, SUBSETS
from lore_core.records import Pair, Verdict, trace_label
from lore_core.rules import NearEffect, Rule, RuleSet


@pytest.mark.parametrize("split", SPLITS)
def test_facts_and_rules_alone_give_every_label(drawn: dict[str, dict[str, list[Pair]]], split: str) -> None:
    oracle = Oracle(facts(), rulebook())
    wrong = [p.id for subset in SUBSETS for p in drawn[split][subset] if oracle.label(p) is not p.groundtruth]
    assert wrong == []


def test_without_rules_the_oracle_fails_exactly_where_rules_are_needed(gate: dict[str, list[Pair]]) -> None:
    blind = Oracle(facts(), RuleSet(rules=()))
    groups: dict[str, list[bool]] = {}
    for pair in gate["rules"]:
        if pair.flip_group:
            groups.setdefault(pair.flip_group, []).append(blind.label(pair) is pair.groundtruth)
    assert groups
    assert not any(all(right) for right in groups.values())


def test_without_facts_about_aliases_nothing_that_needs_knowledge_can_be_read(gate: dict[str, list[Pair]]) -> None:
    ignorant = Oracle((fact for fact in facts() if " means " not in fact), rulebook())
    known = [p for p in gate["general"] if not p.needs.knowledge]
    assert all(ignorant.label(p) is p.groundtruth for p in known)
    needy = [p for p in gate["hard"] if p.needs.knowledge]
    wrong = 0
    for pair in needy:
        try:
            wrong += ignorant.label(pair) is not pair.groundtruth
        except KeyError:
            wrong += 1
    assert wrong > len(needy) / 4


def test_traces_argue_for_the_gold_label(drawn: dict[str, dict[str, list[Pair]]]) -> None:
    assert all(trace_label(p.trace) is p.groundtruth for found in drawn.values() for ps in found.values() for p in ps)


def test_the_judge_follows_the_rules_as_they_are_written_for_every_two_values() -> None:
    written = {(rule.market, rule.dimension, kind): rule for rule in rulebook().rules for kind in _kinds(rule)}
    for (market, name, kind), rule in written.items():
        assert rule.condition is not None
        tolerance = rule.condition.tolerance_steps
        for wanted, found in product(BY_NAME[name].values, repeat=2):
            steps = BY_NAME[name].steps(wanted, found)
            near = (
                0 < steps <= tolerance
                if tolerance is not None
                else steps == 1 and rule.condition.near is NearEffect.NEAR
            )
            expected = Verdict.MATCH if steps == 0 else Verdict.NEAR if near else Verdict.CONFLICT
            assert compare(kind, name, wanted, found, market)[0] is expected
    assert len(written) == len(MARKETS) * len(BY_NAME) * len((*PRODUCTS, *MOTIFS))


def _kinds(rule: Rule) -> tuple[str, ...]:
    return rule.condition.categories if rule.condition else ()
