"""`lore completion SHELL`: a completion script of the verbs and their options, from the verbs' own parsers."""

import argparse
import importlib
from typing import Any, Final

from lore_core import cli

_BASH: Final = """_lore() {{
  local words="${{COMP_WORDS[*]:1:COMP_CWORD-1}}" here="${{COMP_WORDS[COMP_CWORD]}}" found=""
  case "$words" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$found" -- "$here"))
}}
complete -o default -F _lore lore kubectl-lore
"""
_ZSH: Final = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "shell", choices=("bash", "zsh", "fish"), help="source its output: source <(lore completion bash)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print({"bash": bash, "zsh": lambda: _ZSH + bash(), "fish": fish}[args.shell](), end="")
    return cli.EXIT_OK


def bash() -> str:
    """For bash: what may follow each beginning of a line. Verbs of two words come before the first word alone."""
    options = {" ".join(verb.words): _options(verb) for verb in cli.VERBS}
    first = dict.fromkeys(verb.words[0] for verb in cli.VERBS)
    groups = {word: [v.words[1] for v in cli.VERBS if v.words[0] == word and len(v.words) > 1] for word in first}
    cases = [f'    "") found="{" ".join(first)}" ;;']
    cases += [
        f'    "{word}") found="{" ".join([*seconds, *options.get(word, [])])}" ;;'
        for word, seconds in groups.items()
        if seconds
    ]
    cases += [f'    "{words}"*) found="{" ".join(found)}" ;;' for words, found in options.items()]
    return _BASH.format(cases="\n".join(cases))


def fish() -> str:
    """For fish."""
    lines = []
    for verb in cli.VERBS:
        seen = " && ".join(f"__fish_seen_subcommand_from {word}" for word in verb.words[:-1])
        when = f"{seen}; and not __fish_seen_subcommand_from {verb.words[-1]}" if seen else "__fish_use_subcommand"
        lines.append(f"complete -c lore -f -n '{when}' -a {verb.words[-1]} -d \"{verb.help}\"")
        within = " && ".join(f"__fish_seen_subcommand_from {word}" for word in verb.words)
        lines += [
            f"complete -c lore -n '{within}' -l {option[2:]}" for option in _options(verb) if option.startswith("--")
        ]
    starts = {verb.words[0] for verb in cli.VERBS if len(verb.words) > 1}
    lines += [f"complete -c lore -f -n __fish_use_subcommand -a {word}" for word in sorted(starts)]
    return "\n".join(lines) + "\n"


def _options(verb: cli.Verb) -> list[str]:
    parser = argparse.ArgumentParser(add_help=True)
    module: Any = importlib.import_module(verb.module)
    module.add_arguments(parser)
    return sorted({option for action in parser._actions for option in action.option_strings})
