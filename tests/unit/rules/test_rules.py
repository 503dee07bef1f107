import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.jobs import RuleMode
from lore_core.jobs.errors import JobError
from lore_core.records import Label, Pair
from lore_core.rules import Condition, NearEffect, Rule, RuleSet, RuleSetError, retrieve, rule_lines, rules_for


def rule(identity: str, dimension: str, market: str = "", kinds: tuple[str, ...] = ()) -> Rule:
    condition = Condition(categories=kinds, near=NearEffect.CONFLICT)
    return Rule(id=identity, dimension=dimension, summary=f"{dimension} strict", market=market, condition=condition)


RULES = RuleSet(
    rules=(
        rule("r1", "colour", "north", ("kettle",)),
        rule("r2", "colour", "south", ("kettle",)),
        rule("r3", "size", "north", ("kettle", "lamp")),
        rule("r4", "colour", "north", ("lamp",)),
        rule("r5", "size"),
        Rule(id="r6", dimension="bundle", summary="a bundle sold apart is not the single item"),
    ),
    kinds={"kettle": ("kettle", "boiler"), "lamp": ("lamp",)},
    lexicon={"colour": ("red", "blue"), "size": ("small", "large")},
)


def pair(query: str, market: str = "north", gold: Label = Label.L4, **more: Any) -> Pair:
    return Pair(
        id="1", query=query, title="kettle", item_id="1", groundtruth=gold, subset="general", market=market, **more
    )


def found(query: str, market: str = "north", limit: int = 5) -> list[str]:
    return [entry.id for entry in retrieve(RULES, query, market, limit=limit).by_query]


def test_rules_are_those_of_market_category_and_dimension() -> None:
    assert found("red kettle") == ["r1"]
    assert found("Red, BOILER!") == ["r1"]
    assert found("red kettle", "south") == ["r2"]
    assert found("red lamp") == ["r4"]
    assert found("small red kettle") == ["r3", "r5", "r1"]  # fewer rules speak of sizes than of colours
    assert found("kettle") == []


def test_text_rules_are_found_by_their_words() -> None:
    assert found("single kettle bundle") == ["r6"]


def test_the_rules_with_the_rarest_words_come_first_and_no_more_than_the_limit() -> None:
    assert found("small large red kettle", limit=2) == ["r3", "r5"]


def test_a_query_without_a_category_takes_that_of_the_item_and_shows_it_after_the_query() -> None:
    result = retrieve(RULES, "something red", "north", {"kind": "boiler"})
    assert result.by_query == ()
    assert result.item_lines == ("r1 colour strict",)


def test_an_industry_is_told_by_its_categories() -> None:
    base = {"kinds": RULES.kinds, "lexicon": RULES.lexicon, "industries": {"home": ("lamp",)}}
    rules = RuleSet.model_validate(
        {"rules": [{"id": "h1", "dimension": "colour", "summary": "s", "industry": "home"}], **base}
    )
    assert [entry.id for entry in retrieve(rules, "red lamp", "north").by_query] == ["h1"]
    assert retrieve(rules, "red kettle", "north").by_query == ()
    assert RuleSet.parse(rules.to_bytes()) == rules


def test_a_rule_of_an_unknown_industry_is_refused() -> None:
    with pytest.raises(RuleSetError, match="industries does not list 'home'"):
        RuleSet.parse(
            json.dumps({"rules": [{"id": "h", "dimension": "a", "summary": "s", "industry": "home"}]}).encode()
        )


def test_parts_that_a_set_does_not_use_do_not_change_its_digest() -> None:
    assert b"industr" not in RULES.to_bytes()
    assert RULES.model_copy(update={"version": "2"}).digest != RULES.digest


def test_modes_show_nothing_what_was_retrieved_or_the_records_own() -> None:
    record = pair("red kettle", rule_list="1. 判定为L4\n\n2. colour")
    assert rule_lines(RuleMode.NONE, record, RULES) == ((), ())
    assert rule_lines(RuleMode.RETRIEVED, record, RULES) == (("r1 colour strict",), ())
    assert rule_lines(RuleMode.ORACLE, record, RULES) == (("1. 判定为L4", "2. colour"), ())
    assert rules_for(RuleMode.RETRIEVED, record, None).by_query == ()


def test_retrieval_never_sees_gold() -> None:
    plain = [
        rule_lines(RuleMode.RETRIEVED, pair("red kettle", gold=gold, rule_list=text), RULES)
        for gold in Label
        for text in ("", f"判定为{gold}")
    ]
    assert len(set(plain)) == 1


def test_the_digest_names_rules_and_lexicon() -> None:
    again = RuleSet.parse(RULES.to_bytes())
    assert again == RULES
    assert again.digest == RULES.digest
    fewer = RULES.model_copy(update={"rules": RULES.rules[1:]})
    other = RULES.model_copy(update={"lexicon": {}})
    assert len({RULES.digest, fewer.digest, other.digest}) == 3


def rules_file(tmp_path: Path, **change: Any) -> Path:
    first: dict[str, Any] = {"id": "r1", "dimension": "colour", "summary": "s"}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": [first | change]}))
    return tmp_path


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"gold": "L4"}, "rules.0.gold"),
        ({"summary": ""}, "rules.0.summary"),
        ({"id": "two words"}, "rules.0.id"),
        ({"condition": {"near": "fine"}}, "rules.0.condition.near"),
        ({"condition": {"near": "near", "tolerance_steps": -1}}, "rules.0.condition.tolerance_steps"),
    ],
)
def test_a_bad_rule_is_refused_with_file_and_field(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    with pytest.raises(RuleSetError) as caught:
        RuleSet.load(rules_file(tmp_path, **change))
    assert isinstance(caught.value, JobError)
    assert caught.value.failure.reason == "BadRuleSet"
    assert caught.value.failure.field == field
    assert str(tmp_path / "rules.json") in str(caught.value)


def test_an_id_that_occurs_twice_is_refused() -> None:
    twice = json.dumps({"rules": [{"id": "r1", "dimension": "a", "summary": "s"}] * 2}).encode()
    with pytest.raises(RuleSetError, match="'r1' occurs twice"):
        RuleSet.parse(twice)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleSetError, match=r"rules\.json: cannot be read"):
        RuleSet.load(tmp_path / "rules.json")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        RuleSet.parse(data)
    except RuleSetError as error:
        assert error.failure.file  # noqa: PT017


@given(
    st.text(max_size=80), st.text(max_size=10), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3)
)
def test_any_query_retrieves_at_most_the_limit_and_only_its_market(
    query: str, market: str, attributes: dict[str, str]
) -> None:
    result = retrieve(RULES, query, market, attributes, limit=3)
    shown = [*result.by_query, *result.by_item]
    assert len(shown) <= 3
    assert all(entry.market in ("", market) for entry in shown)
