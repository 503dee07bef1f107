"""What a page tells a user to type is taken: every `lore` command parses, every Helm command names the release's namespace."""

import argparse
import importlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lore_core.cli import VERBS

ROOT = Path(__file__).parents[3]
_SHELL = re.compile(r"^```(?:sh|bash)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDS = {"&", "&&", "|", ">", ";"}


def commands(program: str) -> list[tuple[str, list[str]]]:
    """(page, words after the program's name) of every command in the pages' shell blocks."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "README.md", "docs/**.md", "examples/**.md"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    blocks = [
        (page, block)
        for page in filter(None, listed.split("\0"))
        for block in _SHELL.findall((ROOT / page).read_text())
    ]
    lines = [(page, line) for page, block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [(page, words_of(line)) for page, line in lines if line.startswith(f"{program} ")]


def words_of(line: str) -> list[str]:
    words = shlex.split(line, comments=True)[1:]
    return words[: next((at for at, word in enumerate(words) if word in _ENDS), len(words))]


@pytest.mark.parametrize(
    ("page", "words"), commands("lore"), ids=lambda part: part if isinstance(part, str) else part[0]
)
def test_every_lore_command_of_a_page_is_one_that_lore_takes(page: str, words: list[str]) -> None:
    verb = next((verb for verb in VERBS if tuple(words[: len(verb.words)]) == verb.words), None)
    assert verb is not None, f"{page}: lore {' '.join(words)}"
    module: Any = importlib.import_module(verb.module)
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    if "--help" not in words:
        parser.parse_args(words[len(verb.words) :])


def test_every_helm_command_of_a_page_names_the_namespace_of_the_release() -> None:
    found = commands("helm")
    assert found
    assert [(page, words) for page, words in found if "--namespace" not in words] == []
