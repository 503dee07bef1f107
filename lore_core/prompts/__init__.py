"""The serving contract, the one prompt renderer, and the parser of answers. Imports no weights library."""

from lore_core.prompts.answers import Answer, ParseCount, parse_answer
from lore_core.prompts.contract import CONTRACT_NAME, ContractError, PromptField, PromptLayout, ServingContract
from lore_core.prompts.encoder import TextEncoder
from lore_core.prompts.fields import NO_RULES, PromptRecord, PromptRules, trace_text
from lore_core.prompts.kit import ModelKit
from lore_core.prompts.render import PromptTooLong, RenderedPrompt
from lore_core.prompts.rules import RuleSource
from lore_core.prompts.templates import build_contract

__all__ = [
    "CONTRACT_NAME",
    "NO_RULES",
    "Answer",
    "ContractError",
    "ModelKit",
    "ParseCount",
    "PromptField",
    "PromptLayout",
    "PromptRecord",
    "PromptRules",
    "PromptTooLong",
    "RenderedPrompt",
    "RuleSource",
    "ServingContract",
    "TextEncoder",
    "build_contract",
    "parse_answer",
    "trace_text",
]
