"""Whether the reasoning of a sampled answer holds, step by step: what pass@k with checked steps counts."""

from lore_core.jobs.config import RuleMode
from lore_core.prompts.rules import RuleSource
from lore_core.records import Label, Pair
from lore_core.rules.retrieve import rules_for
from lore_core.synthesis.checks import check_trace
from lore_core.training.alignment.rollouts import read_steps


def steps_hold(pair: Pair, label: Label | None, reasoning: str, rules: RuleSource) -> bool:
    """Whether steps can be read, hold against record and shown rules, argue for the label, and the label is gold."""
    steps = read_steps(reasoning) if label is not None else None
    if label is None or steps is None:
        return False
    found = rules_for(RuleMode(rules.mode), pair, rules.rules)
    return check_trace(pair, (), pair.vqa_result, (*found.by_query, *found.by_item), steps, label) is None
