"""A vision tower's first lesson: the words of what a picture shows. No query and no label are seen.

Labels alone teach a fresh tower little: they say one thing of a picture, its words all of it. The text side learns to look at
the picture's tokens, at a fraction of the rate, so that it keeps what it knows: with frozen weights nothing was learned.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lore_core.jobs.config import Optimizer
from lore_core.prompts import TextEncoder
from lore_core.prompts.render import Picture
from lore_core.prompts.templates import BEGIN
from lore_core.records import read_pairs
from lore_core.scoring.pixels import PictureReader
from lore_core.training.base import OnStep
from lore_core.training.examples import IGNORED, Example
from lore_core.training.packing import packed_loss
from lore_core.training.schedule import Order, learning_rate
from lore_core.training.seeing import check_file, collate_seen
from lore_core.training.tokenizer import END

CAPTIONS: Final = Optimizer(learning_rate="0.001", max_steps=2400, batch_size=16, warmup_steps=50)
"""Knobs of the lesson; a step's batch is pictures."""
_TEXT_SHARE: Final = 0.2
"""Of the tower's learning rate."""


def captions(path: Path, encoder: TextEncoder, reader: PictureReader) -> list[Example]:
    """Each different picture of a file of pairs with what it shows in words. Raises RecordError naming a bad line."""
    check_file(path, reader)
    words = {pair.image_base64: pair.vqa_result for pair in read_pairs(path) if pair.image_base64 and pair.vqa_result}
    begin, end = encoder.control(BEGIN), encoder.control(END)
    found = []
    for data, said in words.items():
        answer = (*encoder.encode(said), end)
        found.append(Example((begin, *answer), (IGNORED, *answer), Picture(data, 1)))
    return found


def learn_captions(
    model: Any, reader: PictureReader, lessons: Sequence[Example], optimizer: Optimizer, on_step: OnStep
) -> float:
    """Train tower and text side; returns the last mean loss (nats a token)."""
    import torch

    groups = [{"params": model.model.visual.parameters()}, {"params": model.model.language_model.parameters()}]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=float(optimizer.weight_decay))
    order, recent = Order.plain(len(lessons), optimizer), 0.0
    for step in range(optimizer.max_steps):
        for group, share in zip(adam.param_groups, (1.0, _TEXT_SHARE), strict=True):
            group["lr"] = share * learning_rate(step, optimizer)
        batch = collate_seen([lessons[row] for row in order.batch(step)], reader, 1.0)
        targets, weights = batch.pop("targets"), batch.pop("weights")
        loss = packed_loss(model(**batch, use_cache=False).logits, targets, weights)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), float(optimizer.gradient_clip))
        adam.step()
        recent = float(loss.detach()) if step == 0 else 0.98 * recent + 0.02 * float(loss.detach())
        on_step(step + 1, recent)
    return recent
