"""`lore strata propose --config FILE`."""

import argparse

from lore_core.jobs.command import add_config_arguments, run_config
from lore_core.jobs.strata import StrataBuildConfig
from lore_core.strata.propose import run_proposal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore strata propose`."""
    add_config_arguments(parser, StrataBuildConfig)


def run(args: argparse.Namespace) -> int:
    """Build the snapshot."""
    return run_config(args, "strata propose", StrataBuildConfig, run_proposal)
