"""What each arm is shown in place of an item's picture."""

import base64
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np

from lore_core.benchmark.picture import PANEL
from lore_core.benchmark.png import png
from lore_core.records import Pair


class Arm(StrEnum):
    """The picture itself, its words, another item's picture, or a white one."""

    PICTURE = "picture"
    CAPTION = "caption"
    SHUFFLED = "shuffled picture"
    BLANK = "blank"


BLANK: Final = base64.b64encode(png([bytes(2 * PANEL)] * PANEL, [(255, 255, 255)])).decode()


def shown(pairs: Sequence[Pair], arm: Arm, seed: int) -> list[Pair]:
    """The pairs as an arm sees them; those without a picture stay as they are. Words and labels never move."""
    if arm is Arm.PICTURE:
        return list(pairs)
    others = _others(pairs, seed)
    image = {
        Arm.BLANK: lambda pair: BLANK,
        Arm.SHUFFLED: lambda pair: others[pair.item_id],
        Arm.CAPTION: lambda pair: "",
    }[arm]
    return [pair.model_copy(update={"image_base64": image(pair)}) if pair.image_base64 else pair for pair in pairs]


def _others(pairs: Sequence[Pair], seed: int) -> dict[str, str]:
    """Another item's picture for each pictured item: the next one's of a drawn ring."""
    pictures = {pair.item_id: pair.image_base64 for pair in pairs if pair.image_base64}
    items = list(pictures)
    ring = [items[place] for place in np.random.default_rng(seed).permutation(len(items))]
    return {item: pictures[ring[(place + 1) % len(ring)]] for place, item in enumerate(ring)}
