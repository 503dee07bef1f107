"""Whether a model's four labels can be scored at one position in its exact prompt (method: label-token scores)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lore_core.prompts import ContractError, ModelKit, RenderedPrompt
from lore_core.prompts.contract import TextSegment
from lore_core.prompts.templates import spelled_verbaliser
from lore_core.scoring.scores import LabelScores

MAX_OUTSIDE: Final = 0.05


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`problems` is empty for a model that can be served. Masses are of the label position's whole distribution."""

    problems: tuple[str, ...]
    prompts: int
    truncated: int
    mean_outside: float
    worst_outside: float


def spelling_problems(kit: ModelKit) -> list[str]:
    """Why the four labels do not differ at exactly one token after the forced prefix, in the prompt's own context."""
    contract, encoder = kit.contract, kit.encoder
    if not contract.layout.writes:
        return []
    labels = contract.verbaliser
    answers = [[*labels.prefix_ids, label] for label in labels.token_ids]
    if set(labels.token_ids) <= encoder.control_ids:
        return []
    last = contract.template[-1]
    context = last.text if isinstance(last, TextSegment) else ""
    before = encoder.encode(context)
    spelled = [encoder.encode(f"{context} {text}") for text in labels.strings]
    if spelled != [before + answer for answer in answers]:
        return ["verbaliser: a label merges with the words before it; add label tokens to the tokenizer"]
    try:
        spelled_verbaliser(answers)
    except ContractError as error:
        return [str(error)]
    return []


def check_model(kit: ModelKit, prompts: Sequence[RenderedPrompt], scores: LabelScores) -> CheckResult:
    """Spelling, and the probability mass that the model puts outside its four labels; a mean above 5 % fails."""
    problems = spelling_problems(kit)
    mean, worst = float(scores.outside.mean()), float(scores.outside.max())
    if mean > MAX_OUTSIDE:
        problems.append(
            f"outside mass: {mean:.1%} of the label position's probability lies outside the four labels, at most "
            f"{MAX_OUTSIDE:.0%} may; train longer"
        )
    cut = sum(prompt.truncated for prompt in prompts)
    return CheckResult(tuple(problems), len(prompts), cut, mean, worst)
