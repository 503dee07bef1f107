"""How answers are printed: tables for people, JSON and YAML for programs."""

import argparse
import json
from collections.abc import Sequence
from typing import Any, Final

FORMATS: Final = ("table", "json", "yaml")
_WIDEST: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The option that chooses."""
    parser.add_argument("-o", "--output", choices=FORMATS, default="table", help="how to print the answer")


def document(value: Any, form: str) -> str:
    """The value as JSON or YAML."""
    if form == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)).rstrip("\n")


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
