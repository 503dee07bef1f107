"""A two-tower's score from what its server returns: vectors of query and item, their cosine, four label probabilities."""

import base64
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from lore_core.prompts import RenderedPrompt
from lore_core.prompts.contract import Towers

EMBEDDINGS: Final = "/v1/embeddings"
Vector = npt.NDArray[np.float64]


def sequences(prompts: Sequence[RenderedPrompt]) -> list[tuple[int, ...]]:
    """What a server has to encode for these prompts: each tower's ids once, such as the query of one question's items."""
    return list(dict.fromkeys(ids for prompt in prompts for ids in prompt.towers))


def vector(embedding: str) -> Vector:
    """A vector as the route returns it in base64: little-endian float32. Raises ValueError where it is none."""
    return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float64)


def cosine(query: Vector, item: Vector) -> float:
    """Of two vectors of one length, else ValueError; NaN where one is zero or no number."""
    size = math.sqrt(float(query @ query) * float(item @ item))
    return float(query @ item) / size if size else math.nan


def label_probabilities(towers: Towers, alike: float) -> tuple[float, float, float, float]:
    """Four probabilities, in the order L1 L2 L3 L4, of a query and an item whose vectors have the cosine `alike`."""
    first, second, third = (_logistic(float(cut) - float(towers.scale) * alike) for cut in towers.cut_points)
    return first, second - first, third - second, 1 - third


def _logistic(value: float) -> float:
    if value < 0:
        return 1 - _logistic(-value)
    return 1 / (1 + math.exp(-value))
