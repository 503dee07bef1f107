"""The command of a workload whose work is one function of its config: `lore VERB --config FILE`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lore_core.jobs import CONFIG_PATH, Result
from lore_core.jobs.config import WireModel
from lore_core.jobs.reporter import Reporter, reported, reporter_from_environment

_Config = TypeVar("_Config", bound=WireModel)


def add_config_arguments(parser: argparse.ArgumentParser, config: type[WireModel]) -> None:
    """Where the config comes from and where the report goes."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_PATH), help=f"a {config.__name__} as JSON")
    parser.add_argument("--report", type=Path, help="write the report into this file instead of a ConfigMap")


def run_config(
    args: argparse.Namespace, verb: str, config: type[_Config], work: Callable[[_Config, Reporter], Result]
) -> int:
    """Do the work and print its result; 1 with the reason on stderr and in the report where that is impossible."""
    reporter = reporter_from_environment(args.report)
    try:
        with reported(reporter):
            result = work(config.model_validate_json(args.config.read_bytes()), reporter)
    except Exception as error:  # whatever it was, it is in the report; a pod's log needs no traceback of ours
        print(f"lore {verb}: {error}", file=sys.stderr)
        return 1
    print(f"{result.uri} {result.digest}{' (reused)' if result.reused else ''}")
    return 0
