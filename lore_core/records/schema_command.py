"""`lore labels show`: the label schema that this version speaks."""

import argparse
from collections.abc import Mapping
from typing import Any

from lore_core import output
from lore_core.records.schema import described


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore labels show`."""
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print digest, labels and definitions."""
    found = described()
    print(_table(found) if args.output == "table" else output.document(found, args.output))
    return 0


def _table(found: Mapping[str, Any]) -> str:
    lines = [
        f"{entry['label']}  {'relevant' if entry['relevant'] else 'irrelevant':10}  {entry['definition']}"
        for entry in found["labels"]
    ]
    return "\n".join([*lines, f"schema {found['digest']}"])
