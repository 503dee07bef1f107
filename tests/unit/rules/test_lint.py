"""`lore rules lint` finds what was put in, and nothing else."""

import random
from pathlib import Path

import pytest
import yaml

from lore_core.benchmark.rulebook import rulebook
from lore_core.cli import main
from lore_core.rules import Condition, NearEffect, Rule, RuleSet
from lore_core.rules.lint import Finding, Problem, lint

FLIPPED = {NearEffect.NEAR: NearEffect.CONFLICT, NearEffect.CONFLICT: NearEffect.NEAR}


def ruled(identity: str, dimension: str = "colour", near: NearEffect = NearEffect.NEAR, **more: object) -> Rule:
    scope = {name: more.pop(name) for name in ("categories", "tolerance_steps") if name in more}
    condition = Condition.model_validate({"near": near, **scope})
    return Rule.model_validate({"id": identity, "dimension": dimension, "summary": "s", "condition": condition, **more})


def of(problem: Problem, found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.problem is problem]


def test_the_worlds_own_rules_are_clean() -> None:
    assert lint(rulebook()) == []


def test_seeded_faults_are_found_and_nothing_else() -> None:
    rng = random.Random(17)
    rules, wanted = seeded(rng)
    found = lint(rules)
    recalled, precise = scored(wanted, found)
    assert {problem: len(entries) for problem, entries in wanted.items()} == {
        Problem.CONTRADICTION: 20, Problem.OVERLAP: 10, Problem.UNCOVERED: 10,
    }  # fmt: skip
    assert min(recalled.values()) >= 0.9
    assert min(precise.values()) >= 0.9
    assert len(of(Problem.NOT_CHECKABLE, found)) == 10


def seeded(rng: random.Random) -> tuple[RuleSet, dict[Problem, set[object]]]:
    """The world's rules with faults of several shapes, and ten text rules and ten rules of a new market as decoys."""
    rules = {rule.id: rule for rule in rulebook().rules}
    sources = rng.sample(sorted(rules), 30)
    wanted: dict[Problem, set[object]] = {problem: set() for problem in list(Problem)[:3]}
    added: list[Rule] = []
    for place, source in enumerate(sources):
        rule = rules[source]
        problem = Problem.CONTRADICTION if place < 20 else Problem.OVERLAP
        added.append(rival(rng, rule, f"x{place:02d}", problem))
        wanted[problem].add((source, f"x{place:02d}"))
    for source in rng.sample(sorted(rules), 10):
        rule = rules[source]
        assert rule.condition is not None
        taken = {kind for other in added if other.dimension == rule.dimension and other.market in ("", rule.market)
                 and other.condition for kind in other.condition.categories}  # fmt: skip
        lost = rng.choice([kind for kind in rule.condition.categories if kind not in taken])
        kept = tuple(kind for kind in rule.condition.categories if kind != lost)
        rules[source] = rule.model_copy(update={"condition": rule.condition.model_copy(update={"categories": kept})})
        wanted[Problem.UNCOVERED].add((rule.market, rule.dimension, lost))
    texts = [Rule(id=f"t{n}", dimension="bundle", summary="a set is not its part") for n in range(10)]
    whole = [
        ruled(f"e{n}", name, market="east") for n, name in enumerate(sorted({r.dimension for r in rules.values()}))
    ]
    return rulebook().model_copy(update={"rules": (*rules.values(), *added, *texts, *whole)}), wanted


def rival(rng: random.Random, rule: Rule, identity: str, problem: Problem) -> Rule:
    """A second rule for one to three of the rule's categories: the same effect, the opposite one, or another tolerance."""
    assert rule.condition is not None
    kinds = tuple(rng.sample(rule.condition.categories, rng.randint(1, 3)))
    update: dict[str, object] = {"categories": kinds}
    if problem is Problem.CONTRADICTION and rule.condition.tolerance_steps is not None and rng.random() < 0.5:
        update["tolerance_steps"] = rule.condition.tolerance_steps + 1
    elif problem is Problem.CONTRADICTION:
        update["near"] = FLIPPED[rule.condition.near]
    return rule.model_copy(update={"id": identity, "condition": rule.condition.model_copy(update=update)})


def scored(
    wanted: dict[Problem, set[object]], found: list[Finding]
) -> tuple[dict[Problem, float], dict[Problem, float]]:
    recalled, precise = {}, {}
    for problem, faults in wanted.items():
        told: set[object] = set()
        for finding in of(problem, found):
            named = {(finding.market, finding.dimension, kind) for kind in finding.categories}
            told |= named if problem is Problem.UNCOVERED else {finding.rules}
        recalled[problem] = len(told & faults) / len(faults)
        precise[problem] = len(told & faults) / len(told)
    return recalled, precise


def test_a_rule_for_every_market_and_category_meets_each_that_is_narrower() -> None:
    wide = ruled("wide")
    narrow = ruled("narrow", near=NearEffect.CONFLICT, market="north", categories=("lamp",))
    found = lint(RuleSet(rules=(wide, narrow), kinds={"lamp": ("lamp",), "kettle": ("kettle",)}))
    assert [(f.problem, f.rules, f.market, f.categories) for f in found] == [
        (Problem.CONTRADICTION, ("wide", "narrow"), "north", ("lamp",))
    ]


def test_rules_of_two_industries_meet_only_where_their_categories_do() -> None:
    rules = (ruled("a", industry="home"), ruled("b", near=NearEffect.CONFLICT, industry="sport"))
    kinds = {name: (name,) for name in ("lamp", "tent", "blanket")}
    apart = RuleSet(rules=rules, kinds=kinds, industries={"home": ("lamp", "blanket"), "sport": ("tent",)})
    assert lint(apart) == []
    shared = apart.model_copy(update={"industries": {"home": ("lamp", "blanket"), "sport": ("tent", "blanket")}})
    assert [(f.problem, f.categories) for f in lint(shared)] == [(Problem.CONTRADICTION, ("blanket",))]


def test_text_rules_are_said_to_be_unchecked_and_close_no_gap() -> None:
    text = Rule(id="t", dimension="colour", summary="judged L4")
    rules = RuleSet(rules=(ruled("a", categories=("lamp",)), text), kinds={"lamp": ("lamp",), "tent": ("tent",)})
    assert [f.problem for f in lint(rules)] == [Problem.UNCOVERED, Problem.NOT_CHECKABLE, Problem.LABEL_MENTION]


def test_the_command_says_what_is_wrong_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = RuleSet(rules=(ruled("a"), ruled("b", near=NearEffect.CONFLICT)), kinds={"lamp": ("lamp",)})
    (tmp_path / "rules.json").write_bytes(bad.to_bytes())
    assert main(["rules", "lint", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "contradiction: a and b say different things of colour in market (every): lamp" in printed
    assert printed.splitlines()[-1].startswith("2 rules, 1 contradiction, 0 overlap, 0 uncovered")
    assert main(["rules", "lint", str(tmp_path), "--output=yaml"]) == 1
    told = yaml.safe_load(capsys.readouterr().out)
    assert (told["rules"], [finding["problem"] for finding in told["findings"]]) == (2, ["contradiction"])
    (tmp_path / "rules.json").write_bytes(rulebook().to_bytes())
    assert main(["rules", "lint", str(tmp_path)]) == 0


def test_a_broken_file_is_refused_with_its_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules.json").write_text('{"rules": [{"id": "r1"}]}')
    assert main(["rules", "lint", str(tmp_path)]) == 1
    assert "rules.json: rules.0.dimension: Field required" in capsys.readouterr().err
