"""`lore strata propose --config FILE`."""

import argparse
import sys
from pathlib import Path

from lore_core.jobs import CONFIG_PATH
from lore_core.jobs.reporter import reported, reporter_from_environment
from lore_core.jobs.strata import StrataBuildConfig
from lore_core.strata.propose import run_proposal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore strata propose`."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_PATH), help="a StrataBuildConfig as JSON")
    parser.add_argument("--report", type=Path, help="write the report into this file instead of a ConfigMap")


def run(args: argparse.Namespace) -> int:
    """Build the snapshot; 1 with the reason on stderr and in the report where that is impossible."""
    reporter = reporter_from_environment(args.report)
    try:
        with reported(reporter):
            config = StrataBuildConfig.model_validate_json(args.config.read_bytes())
            result = run_proposal(config, reporter)
    except Exception as error:  # whatever it was, it is in the report; a pod's log needs no traceback of ours
        print(f"lore strata propose: {error}", file=sys.stderr)
        return 1
    print(f"{result.uri} {result.digest}{' (reused)' if result.reused else ''}")
    return 0
