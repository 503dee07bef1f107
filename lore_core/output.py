"""How a verb prints its answer: a table for people, JSON and YAML for programs."""

import argparse
import json
from typing import Any, Final

FORMATS: Final = ("table", "json", "yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The option that chooses."""
    parser.add_argument("-o", "--output", choices=FORMATS, default="table", help="how to print the answer")


def document(value: Any, form: str) -> str:
    """The value as JSON or YAML."""
    if form == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)).rstrip("\n")
