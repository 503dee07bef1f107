"""Rule sets: versioned, strict to load, and retrieved into prompts without ever seeing gold."""

from lore_core.rules.model import RULES_NAME, Condition, NearEffect, Rule, RuleSet, RuleSetError
from lore_core.rules.retrieve import FoundRules, retrieve, rule_lines, rules_for

__all__ = [
    "RULES_NAME",
    "Condition",
    "FoundRules",
    "NearEffect",
    "Rule",
    "RuleSet",
    "RuleSetError",
    "retrieve",
    "rule_lines",
    "rules_for",
]
