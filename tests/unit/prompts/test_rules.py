"""The rules a prompt shows under each rule mode."""

import pytest

from lore_core.benchmark.rulebook import rulebook
from lore_core.jobs import RuleMode
from lore_core.prompts import PromptRules, RuleSource
from lore_core.records import Pair


@pytest.fixture
def ruled(pair: Pair) -> Pair:
    return pair.model_copy(update={"query": "need red umbrella", "market": "north", "rule_list": "judged L4\nr99 own"})


def test_retrieved_rules_are_the_markets_on_what_the_query_speaks_of(ruled: Pair) -> None:
    north = RuleSource(RuleMode.RETRIEVED, rulebook())(ruled)
    south = RuleSource(RuleMode.RETRIEVED, rulebook())(ruled.model_copy(update={"market": "south"}))
    assert [line.split()[1] for line in north.query] == ["colour"]
    assert north != south


def test_retrieval_never_sees_the_annotators_own_rules(ruled: Pair) -> None:
    source = RuleSource(RuleMode.RETRIEVED, rulebook())
    assert source(ruled) == source(ruled.model_copy(update={"rule_list": "", "groundtruth": "L1"}))


def test_oracle_shows_the_records_own_rules(ruled: Pair) -> None:
    assert RuleSource(RuleMode.ORACLE)(ruled) == PromptRules(query=("judged L4", "r99 own"))


def test_no_rules_are_shown_under_none(ruled: Pair) -> None:
    assert RuleSource(RuleMode.NONE, rulebook())(ruled) == PromptRules()


def test_retrieval_without_a_rule_set_is_refused() -> None:
    with pytest.raises(ValueError, match="ruleSet: rule mode Retrieved needs a rule set"):
        RuleSource(RuleMode.RETRIEVED)
