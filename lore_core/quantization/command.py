"""`lore quantize --config FILE`."""

import argparse

from lore_core.jobs.command import add_config_arguments, run_config
from lore_core.jobs.quantize import QuantizeConfig
from lore_core.quantization.job import run_quantize


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore quantize`."""
    add_config_arguments(parser, QuantizeConfig)


def run(args: argparse.Namespace) -> int:
    """Quantise the model."""
    return run_config(args, "quantize", QuantizeConfig, run_quantize)
