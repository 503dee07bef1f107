"""Completion scripts, read by the shell that they are for."""

import subprocess

from lore_core import completion
from lore_core.cli import VERBS


def offered(*words: str) -> list[str]:
    """What bash offers after these words."""
    ask = f'COMP_WORDS=(lore {" ".join(words)} ""); COMP_CWORD={len(words) + 1}; _lore; printf "%s\\n" "${{COMPREPLY[@]}}"'
    script = f"{completion.bash()}\n{ask}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_bash_offers_verbs_then_their_second_words_then_their_options():
    assert {verb.words[0] for verb in VERBS} == {*offered()}
    assert {"build", "candidates"} <= {*offered("head")}
    assert {"--to", "--tier", "--namespace"} <= {*offered("promote")}
    assert {"--config", "report"} <= {*offered("train")}
    assert {"--html"} <= {*offered("train", "report")}


def test_zsh_gets_the_same(capsys):
    completion.run(type("Arguments", (), {"shell": "zsh"}))

    assert completion.bash() in capsys.readouterr().out


def test_fish_knows_every_verb():
    text = completion.fish()

    assert all(f"-a {verb.words[-1]} " in text for verb in VERBS)
