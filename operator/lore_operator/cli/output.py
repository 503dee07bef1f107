"""How answers about a cluster are printed: as every verb prints them, and tables that nothing in a cluster can spoil."""

from collections.abc import Sequence
from typing import Final

from lore_core.output import add_arguments, document

__all__ = ["add_arguments", "document", "printable", "shortened", "table"]

_WIDEST: Final = 100


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width; the last one is cut where a line would be too long to read."""
    lines = [list(head), *([*row[:-1], shortened(row[-1])] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def shortened(text: str, most: int = _WIDEST) -> str:
    """One line of at most so many characters; what is left out shows with `lore why`."""
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def printable(text: str) -> str:
    """Text that may have been written by others, without what a terminal would act on."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)
