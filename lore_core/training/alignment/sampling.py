"""Answers sampled from a model in this process, by token ids."""

from collections.abc import Sequence
from typing import Any, Final

from lore_core.prompts import ModelKit, RenderedPrompt
from lore_core.training.alignment.rollouts import Rollout, read_rollout

TOGETHER: Final = 32
"""Most answers that are sampled at once."""
Ids = tuple[int, ...]


def answer_limit(kit: ModelKit) -> int:
    """Most tokens that an answer may have: trace, its stop, the label with what is forced before it."""
    bounds = kit.contract.trace
    return (bounds.max_tokens + 1 if bounds else 0) + len(kit.contract.verbaliser.prefix_ids) + 1


def end_ids(kit: ModelKit) -> list[int]:
    """An answer ends with its label."""
    return list(kit.contract.verbaliser.token_ids)


def sample(
    kit: ModelKit,
    model: Any,
    prompts: Sequence[RenderedPrompt],
    count: int,
    *,
    seed: int,
    temperature: float,
    top_k: int,
) -> list[list[Ids]]:
    """`count` answers of each prompt. Equal arguments give equal answers; torch's own generator is left as it was."""
    import torch

    found: list[list[Ids]] = []
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        for start in range(0, len(prompts), max(1, TOGETHER // count)):
            found += _batch(kit, model, prompts[start : start + max(1, TOGETHER // count)], count, temperature, top_k)
    return found


def rollouts(kit: ModelKit, answers: Sequence[Ids]) -> list[Rollout]:
    """The answers, read."""
    return [read_rollout(kit, answer) for answer in answers]


def _batch(
    kit: ModelKit, model: Any, prompts: Sequence[RenderedPrompt], count: int, temperature: float, top_k: int
) -> list[list[Ids]]:
    import torch

    longest = max(len(prompt.token_ids) for prompt in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt.token_ids) :] = torch.tensor(prompt.token_ids)
        mask[row, longest - len(prompt.token_ids) :] = 1
    device = next(model.parameters()).device
    made = model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=answer_limit(kit),
        num_return_sequences=count,
        do_sample=True,
        temperature=temperature,
        top_k=top_k,
        top_p=1.0,
        eos_token_id=end_ids(kit),
        pad_token_id=0,
    )
    answers = [_to_the_end(row, end_ids(kit)) for row in made[:, longest:].tolist()]
    return [answers[start : start + count] for start in range(0, len(answers), count)]


def _to_the_end(row: list[int], ends: Sequence[int]) -> Ids:
    """Without the padding after the first ending token."""
    last = next((place for place, token in enumerate(row) if token in ends), len(row) - 1)
    return tuple(row[: last + 1])
