"""`lore head build --config FILE`."""

import argparse

from lore_core.headcache.job import run_head_build
from lore_core.jobs.command import add_config_arguments, run_config
from lore_core.jobs.config import HeadBuildConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore head build`."""
    add_config_arguments(parser, HeadBuildConfig)


def run(args: argparse.Namespace) -> int:
    """Build the generation."""
    return run_config(args, "head build", HeadBuildConfig, run_head_build)
