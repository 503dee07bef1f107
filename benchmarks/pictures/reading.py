"""What the start of every arm reads from pictures that it has never seen, word by word."""

from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.pictures.runs import VISUAL
from lore_core.benchmark.vocabulary import KIND, PICTURED
from lore_core.benchmark.world import World
from lore_core.prompts import TextEncoder
from lore_core.prompts.render import Picture
from lore_core.prompts.templates import BEGIN
from lore_core.scoring.pixels import PictureReader
from lore_core.training.examples import IGNORED, Example
from lore_core.training.seeing import collate_seen

_SAID: Final = (KIND, *PICTURED)
_BATCH: Final = 64


def read_words(base: Path, world: World) -> dict[str, float]:
    """Share of words that the base finds most likely, given those before, by what they say of a picture's two motifs."""
    import torch
    from transformers import AutoModelForImageTextToText

    encoder = TextEncoder.load(base)
    reader = PictureReader(base, encoder)
    model = AutoModelForImageTextToText.from_pretrained(str(base), dtype="float32").eval()
    pictures = {pair.image_base64: pair.vqa_result for pair in world.pairs("gate", VISUAL)}
    rows = [_row(encoder, data, words) for data, words in pictures.items()]
    right = []
    for start in range(0, len(rows), _BATCH):
        batch = collate_seen(rows[start : start + _BATCH], reader, 1.0)
        targets, _ = batch.pop("targets"), batch.pop("weights")
        with torch.inference_mode():
            found = model(**batch, use_cache=False).logits.argmax(-1)
        chosen = targets != IGNORED
        right.append((found[chosen] == targets[chosen]).reshape(len(targets), -1).numpy())
    shares = np.concatenate(right).mean(axis=0)
    # "shows" and the first motif, "beside" and the second.
    each = len(_SAID) + 1
    return {name: float((shares[1 + place] + shares[each + 1 + place]) / 2) for place, name in enumerate(_SAID)}


def _row(encoder: TextEncoder, data: str, words: str) -> Example:
    """All words of a caption as what is to be said behind its picture."""
    ids = encoder.encode(words)
    return Example((encoder.control(BEGIN), *ids), (IGNORED, *ids), Picture(data, 1))
