"""From pairs to token ids with training targets. Pure: rules and renderer are given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lore_core.jobs.reporter import JobError
from lore_core.prompts import ModelKit, PromptLayout, PromptRules, RenderedPrompt, trace_text
from lore_core.records import LABELS, Pair

IGNORED: Final = -100  # the target that cross-entropy leaves out

RulesFor = Callable[[Pair], PromptRules]


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence: `targets` is as long as `token_ids`; target i is trained at position i, IGNORED elsewhere."""

    token_ids: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Prompts of all pairs and how many of them were cut."""

    prompts: list[RenderedPrompt]
    truncated: int


def render_all(kit: ModelKit, pairs: Sequence[Pair], rules_for: RulesFor) -> Rendered:
    """Render the pairs. Raises JobError naming the pair whose query alone exceeds the limit."""
    prompts = []
    for pair in pairs:
        try:
            prompts.append(kit.render(pair, rules_for(pair)))
        except ValueError as error:
            raise JobError("PromptTooLong", f"pair {pair.id}: {error}", field="query") from error
    return Rendered(prompts, sum(prompt.truncated for prompt in prompts))


def answer_ids(kit: ModelKit, pair: Pair) -> list[int]:
    """What the model shall write after the prompt: think-first the trace and its stop, then the label."""
    contract = kit.contract
    label = contract.verbaliser.token_ids[LABELS.index(pair.groundtruth)]
    if contract.layout is not PromptLayout.THINK_FIRST or contract.trace is None:
        return [label]
    return [*trace_ids(kit, pair), contract.trace.stop_token_id, *contract.verbaliser.prefix_ids, label]


def trace_ids(kit: ModelKit, pair: Pair) -> list[int]:
    """Ids of a pair's reasoning trace, without its stop."""
    return kit.encoder.encode(trace_text(pair.trace))


def causal_example(prompt: RenderedPrompt, answer: Sequence[int]) -> Example:
    """Prompt and answer in one sequence; only the answer is trained."""
    return Example((*prompt.token_ids, *answer), (*([IGNORED] * len(prompt.token_ids)), *answer))


def collate(examples: Sequence[Example]) -> dict[str, Any]:
    """Tensors `input_ids`, `attention_mask`, `targets`, each n×longest, padded on the right."""
    import torch

    longest = max(len(example.token_ids) for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    mask, targets = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        length = len(example.token_ids)
        ids[row, :length] = torch.tensor(example.token_ids)
        targets[row, : len(example.targets)] = torch.tensor(example.targets)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "targets": targets}
