"""`lore labels show`: the label schema that this version speaks."""

import argparse
import json

from lore_core.records.schema import described


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`lore labels show` has no arguments."""


def run(args: argparse.Namespace) -> int:
    """Print digest, labels and definitions as JSON."""
    print(json.dumps(described(), indent=1, ensure_ascii=False))
    return 0
