"""Draws a pictured offer: its motif on the left, the companion's on the right. Whole numbers only, so bytes never differ."""

import base64
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from lore_core.benchmark.png import Colour, png
from lore_core.benchmark.things import Offer, Thing
from lore_core.benchmark.vocabulary import BY_NAME

# 2 × 28 pixels a panel: vision encoders that cut pictures into 14 or 28 pixel patches see whole ones.
PANEL: Final = 56
_MARGIN: Final = 1
_PALETTE: Final[tuple[Colour, ...]] = (
    (255, 255, 255), (214, 40, 40), (150, 20, 50), (50, 110, 230), (20, 30, 110), (40, 160, 60), (110, 120, 30),
    (245, 220, 40), (200, 160, 40), (150, 150, 150), (15, 15, 15), (225, 225, 225),
)  # fmt: skip
_DIVIDER: Final = len(_PALETTE) - 1

# Whether a pixel belongs to a shape; x and y run from -r to r, y downwards.
_Shape = Callable[[int, int, int], bool]
_SHAPES: Final[Mapping[str, _Shape]] = MappingProxyType(
    {
        "circle": lambda x, y, r: x * x + y * y <= r * r,
        "square": lambda x, y, r: 8 * max(abs(x), abs(y)) <= 7 * r,
        "triangle": lambda x, y, r: 2 * abs(x) <= y + r,
        "diamond": lambda x, y, r: abs(x) + abs(y) <= r,
        "cross": lambda x, y, r: 3 * min(abs(x), abs(y)) <= r,
        "star": lambda x, y, r: (
            (2 * y <= r and 3 * abs(x) <= 2 * (y + r)) or (2 * y >= -r and 3 * abs(x) <= 2 * (r - y))
        ),
        "ring": lambda x, y, r: r * r <= 3 * (x * x + y * y) <= 3 * r * r,
        "heart": lambda x, y, r: (
            (2 * abs(x) - r) ** 2 + (2 * y + r) ** 2 <= r * r or (2 * y >= -r and 3 * abs(x) <= 2 * (r - y))
        ),
        "arrow": lambda x, y, r: abs(x) <= y + r if y <= 0 else 3 * abs(x) <= r,
        "crescent": lambda x, y, r: x * x + y * y <= r * r and (2 * x - r) ** 2 + 4 * y * y > 3 * r * r,
    }
)
# Whether a pixel of a shape is inked; x and y count from the motif's corner.
_PATTERNS: Final[Mapping[str, Callable[[int, int], bool]]] = MappingProxyType(
    {
        "striped": lambda x, y: y % 4 < 2,
        "banded": lambda x, y: y % 6 < 4,
        "dotted": lambda x, y: x % 4 < 2 and y % 4 < 2,
        "spotted": lambda x, y: x % 6 < 4 and y % 6 < 4,
        "checked": lambda x, y: (x // 3 + y // 3) % 2 == 0,
        "gridded": lambda x, y: x % 4 == 0 or y % 4 == 0,
        "plain": lambda x, y: True,
        "bordered": lambda x, y: True,
        "slanted": lambda x, y: (x + y) % 5 < 3,
        "hatched": lambda x, y: (x + y) % 4 == 0 or (x - y) % 4 == 0,
    }
)


def picture(offer: Offer) -> str:
    """The picture as base64 PNG; empty for an offer without one."""
    return _encoded(_panel(offer.main), _panel(offer.companion)) if offer.pictured else ""


@lru_cache(maxsize=64)
def _encoded(main: tuple[bytes, ...], companion: tuple[bytes, ...]) -> str:
    sides = zip(main, companion, strict=True)
    rows = [left[:-1] + bytes((_DIVIDER,)) + right for left, right in sides]
    return base64.b64encode(png(rows, _PALETTE)).decode()


def _panel(thing: Thing) -> tuple[bytes, ...]:
    return _drawn(thing.kind, thing.values["colour"], thing.values["pattern"], thing.values["count"])


@lru_cache(maxsize=4_096)
def _drawn(kind: str, colour: str, pattern: str, count: str) -> tuple[bytes, ...]:
    """`count` motifs in a grid, row by row."""
    number = BY_NAME["count"].place[count] + 1
    columns = next(side for side in (1, 2, 3, 4) if side * side >= number)
    size = PANEL // columns
    ink = bytes((0, 1 + BY_NAME["colour"].place[colour])) + bytes(254)
    motif = [row.translate(ink) for row in _motif(kind, pattern, size)]
    rows = []
    for start in range(0, number, columns):
        inked = min(columns, number - start)
        rows += [(row * inked).ljust(PANEL, b"\0") for row in motif]
    return tuple((rows + [bytes(PANEL)] * PANEL)[:PANEL])


@lru_cache(maxsize=1_024)
def _motif(kind: str, pattern: str, size: int) -> tuple[bytes, ...]:
    """One motif as rows of 0 and 1."""
    radius = size - 1 - 2 * _MARGIN
    inside, inked = _SHAPES[kind], _PATTERNS[pattern]

    def pixel(x: int, y: int) -> bool:
        u, v = 2 * x + 1 - size, 2 * y + 1 - size
        if max(abs(u), abs(v)) > radius or not inside(u, v, radius):
            return False
        # A border is what is left when the same shape, smaller, is taken away.
        return inked(x, y) if pattern != "bordered" else not inside(u, v, radius * 3 // 5)

    return tuple(bytes(pixel(x, y) for x in range(size)) for y in range(size))
