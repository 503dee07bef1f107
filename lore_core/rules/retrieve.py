"""Which rules a prompt shows. `Retrieved` looks at query, market and item text only, so gold cannot reach the prompt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from lore_core.jobs.config import RuleMode
from lore_core.rules.index import RuleIndex, words
from lore_core.rules.model import Rule, RuleSet

DEFAULT_LIMIT: Final = 5


@dataclass(frozen=True, slots=True)
class FoundRules:
    """Rules found by query and market (shown before the query) and those that only the item brings in (shown after it)."""

    by_query: tuple[Rule, ...] = ()
    by_item: tuple[Rule, ...] = ()

    @property
    def query_lines(self) -> tuple[str, ...]:
        """Prompt text of the rules found by query."""
        return tuple(rule.line for rule in self.by_query)

    @property
    def item_lines(self) -> tuple[str, ...]:
        """Prompt text of the rules the item brings in."""
        return tuple(rule.line for rule in self.by_item)


class RuledRecord(Protocol):
    """What `rules_for` reads of a record."""

    @property
    def query(self) -> str: ...  # noqa: D102
    @property
    def market(self) -> str: ...  # noqa: D102
    @property
    def cpv_sku(self) -> dict[str, str]: ...  # noqa: D102
    @property
    def rule_list(self) -> str: ...  # noqa: D102


def retrieve(
    rules: RuleSet, query: str, market: str, attributes: Mapping[str, str] | None = None, limit: int = DEFAULT_LIMIT
) -> FoundRules:
    """The market's rules on what the query speaks of; at most `limit`, those with the rarest query words first, then set order.

    A query that names no category the set knows takes the categories that the item's attributes name; such rules are
    `by_item`, so that the part of the prompt before the query stays the same for all items of a query.
    """
    asked, index = frozenset(words(query)), rules.index
    kinds = index.kinds_in(asked)
    if kinds or not rules.kinds:
        return FoundRules(by_query=_best(rules, index, asked, market, kinds, limit))
    item = frozenset(word for text in (attributes or {}).values() for word in words(text))
    return FoundRules(by_item=_best(rules, index, asked, market, index.kinds_in(item), limit))


def rules_for(mode: RuleMode, record: RuledRecord, rules: RuleSet | None, limit: int = DEFAULT_LIMIT) -> FoundRules:
    """The rules of one record under a mode. `Oracle` is not looked up: use `rule_lines`, which shows the record's own."""
    if mode is not RuleMode.RETRIEVED or rules is None:
        return FoundRules()
    return retrieve(rules, record.query, record.market, record.cpv_sku, limit)


def rule_lines(mode: RuleMode, record: RuledRecord, rules: RuleSet | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Prompt text before and after the query: nothing, what was retrieved, or the record's own rule_list (may hold gold)."""
    if mode is RuleMode.ORACLE:
        own = tuple(line.strip() for line in record.rule_list.splitlines() if line.strip())
        return own, ()
    found = rules_for(mode, record, rules)
    return found.query_lines, found.item_lines


def _best(
    rules: RuleSet, index: RuleIndex, asked: frozenset[str], market: str, kinds: frozenset[str], limit: int
) -> tuple[Rule, ...]:
    best = sorted(
        (-weight, place) for place, weight in index.weights(asked).items() if _open(rules, place, market, kinds)
    )
    return tuple(rules.rules[place] for _, place in best[:limit])


def _open(rules: RuleSet, place: int, market: str, kinds: frozenset[str]) -> bool:
    scope = rules.scopes[place]
    return rules.rules[place].market in ("", market) and (scope is None or bool(scope & kinds))
