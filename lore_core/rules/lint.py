"""What is wrong with a rule set, as far as machine-readable conditions can tell.

A cell is a market, a category and a dimension. Rule sets have no precedence: every rule whose scope contains a cell holds there.
So two rules that say different things of one cell contradict each other, two that say the same overlap, and a cell that
no rule speaks of is uncovered. A rule without a condition is text: it is reported as not checkable and covers nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from lore_core.rules.model import Rule, RuleSet

_LABEL: Final = re.compile(r"(?<![A-Za-z0-9])L[1-4](?![A-Za-z0-9])")
_EVERY: Final = ""


class Problem(StrEnum):
    """Kinds of findings. The last two are told, not held against the set."""

    CONTRADICTION = "contradiction"
    OVERLAP = "overlap"
    UNCOVERED = "uncovered"
    NOT_CHECKABLE = "not checkable"
    LABEL_MENTION = "label mention"


FAILING: Final = frozenset({Problem.CONTRADICTION, Problem.OVERLAP, Problem.UNCOVERED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: the rules it is about (none where a rule is missing) and the cells it holds in, categories sorted."""

    problem: Problem
    rules: tuple[str, ...]
    market: str = _EVERY
    dimension: str = ""
    categories: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """One line for people, with what to do."""
        where = f"{self.dimension} in market {self.market or '(every)'}: {_shown(self.categories)}"
        match self.problem:
            case Problem.CONTRADICTION:
                return f"{' and '.join(self.rules)} say different things of {where}; narrow the categories of one"
            case Problem.OVERLAP:
                return f"{' and '.join(self.rules)} say the same of {where}; remove one"
            case Problem.UNCOVERED:
                return f"no rule speaks of {where}; add one or widen a rule's categories"
            case Problem.NOT_CHECKABLE:
                return f"{self.rules[0]} has no condition; give it one, or have people read it"
            case Problem.LABEL_MENTION:
                return f"{self.rules[0]} names a label; a prompt that shows it may tell the answer"


def lint(rules: RuleSet) -> list[Finding]:
    """All findings, in the order of `Problem`, then of the set."""
    holders = _holders(rules)
    found = [*_pairs(rules, holders), *_uncovered(holders)]
    found += [Finding(Problem.NOT_CHECKABLE, (rule.id,)) for rule in rules.rules if rule.condition is None]
    found += [Finding(Problem.LABEL_MENTION, (rule.id,)) for rule in rules.rules if _names_label(rule)]
    order = list(Problem)
    return sorted(found, key=lambda finding: order.index(finding.problem))


Cell = tuple[str, str, str]


def _holders(rules: RuleSet) -> dict[Cell, list[int]]:
    """Places of the rules that hold in each cell, for all cells that the set's own markets, dimensions and categories span."""
    checkable = [(place, rule) for place, rule in enumerate(rules.rules) if rule.condition is not None]
    markets = _axis(rule.market for _, rule in checkable)
    dimensions = dict.fromkeys(rule.dimension for _, rule in checkable)
    scoped = (category for scope in rules.scopes if scope is not None for category in sorted(scope))
    categories = list(dict.fromkeys([*rules.kinds, *scoped])) or [_EVERY]
    cells: dict[Cell, list[int]] = {(m, d, c): [] for m in markets for d in dimensions for c in categories}
    for place, rule in checkable:
        scope = rules.scopes[place]
        for market in [rule.market] if rule.market else markets:
            for category in categories if scope is None else scope:
                cells[market, rule.dimension, category].append(place)
    return cells


def _axis(markets: Iterable[str]) -> list[str]:
    """The markets that are named; a set that names none has one for all."""
    return sorted({market for market in markets if market}) or [_EVERY]


def _pairs(rules: RuleSet, holders: Mapping[Cell, list[int]]) -> list[Finding]:
    shared: dict[tuple[int, int], list[Cell]] = defaultdict(list)
    for cell, places in holders.items():
        for pair in combinations(places, 2):
            shared[pair].append(cell)
    return [
        Finding(
            Problem.OVERLAP if _effect(rules.rules[one]) == _effect(rules.rules[two]) else Problem.CONTRADICTION,
            (rules.rules[one].id, rules.rules[two].id),
            cells[0][0],
            cells[0][1],
            tuple(sorted({category for _, _, category in cells})),
        )
        for (one, two), cells in sorted(shared.items())
    ]


def _effect(rule: Rule) -> tuple[object, object]:
    assert rule.condition is not None  # only checkable rules hold cells
    return rule.condition.near, rule.condition.tolerance_steps


def _uncovered(holders: Mapping[Cell, list[int]]) -> list[Finding]:
    bare: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (market, dimension, category), places in holders.items():
        if not places:
            bare[market, dimension].append(category)
    return [
        Finding(Problem.UNCOVERED, (), market, dimension, tuple(sorted(categories)))
        for (market, dimension), categories in bare.items()
    ]


def _names_label(rule: Rule) -> bool:
    return any(_LABEL.search(text) for text in (rule.summary, rule.principle, *rule.details))


def _shown(categories: tuple[str, ...]) -> str:
    names = [category or "(every category)" for category in categories]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
