"""Answers sampled from a model in this process, by token ids."""

from collections.abc import Sequence
from typing import Any, Final

from lore_core.prompts import ModelKit, RenderedPrompt
from lore_core.scoring.pixels import PictureReader, Row
from lore_core.scoring.reference import model_inputs
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
    reader: PictureReader | None = None,
) -> list[list[Ids]]:
    """`count` answers of each prompt, whose pictures `reader` reads.

    Equal arguments give equal answers; torch's own generator is left as it was.
    """
    import torch

    found: list[list[Ids]] = []
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        for start in range(0, len(prompts), max(1, TOGETHER // count)):
            asked = prompts[start : start + max(1, TOGETHER // count)]
            found += _batch(kit, model, asked, count, temperature, top_k, reader)
    return found


def rollouts(kit: ModelKit, answers: Sequence[Ids]) -> list[Rollout]:
    """The answers, read."""
    return [read_rollout(kit, answer) for answer in answers]


def _batch(
    kit: ModelKit,
    model: Any,
    prompts: Sequence[RenderedPrompt],
    count: int,
    temperature: float,
    top_k: int,
    reader: PictureReader | None,
) -> list[list[Ids]]:
    # Each prompt as often as it is answered: `num_return_sequences` would tear patches of several pictures apart.
    rows: list[Row] = [(prompt.token_ids, prompt.picture) for prompt in prompts for _ in range(count)]
    device = next(model.parameters()).device
    inputs = {name: value.to(device) for name, value in model_inputs(rows, reader, left=True).items()}
    longest = inputs["input_ids"].shape[1]
    made = model.generate(
        **inputs,
        max_new_tokens=answer_limit(kit),
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
