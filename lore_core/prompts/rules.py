"""Which rules a prompt shows for a record: one source for training, evaluation, the head job and the router."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lore_core.jobs.config import RuleMode
from lore_core.prompts.fields import NO_RULES, PromptRules
from lore_core.rules import RuleSet, rule_lines
from lore_core.rules.retrieve import RuledRecord


@dataclass(frozen=True, slots=True)
class RuleSource:
    """Finds the rules of a record under one rule mode; call it with the record."""

    mode: RuleMode
    rules: RuleSet | None = None

    def __post_init__(self) -> None:
        if self.mode is RuleMode.RETRIEVED and self.rules is None:
            raise ValueError("ruleSet: rule mode Retrieved needs a rule set; give one or use rule mode None")

    @classmethod
    def load(cls, mode: RuleMode, folder: Path | None) -> Self:
        """From a rule-set artifact's folder. Raises ValueError where mode Retrieved has none, RuleSetError for a bad one."""
        return cls(mode, RuleSet.load(folder) if folder is not None and mode is RuleMode.RETRIEVED else None)

    def __call__(self, record: RuledRecord) -> PromptRules:
        """Rule lines before and after the query."""
        if self.mode is RuleMode.NONE:
            return NO_RULES
        before, after = rule_lines(self.mode, record, self.rules)
        return PromptRules(before, after)
