"""`lore goodrate run --config FILE`."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from lore_core.goodrate.run import measure
from lore_core.jobs import CONFIG_PATH, GoodRateConfig
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import reported, reporter_from_environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore goodrate run`."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_PATH), help="a GoodRateConfig as JSON")
    parser.add_argument("--report", type=Path, help="write the report into this file instead of a ConfigMap")


def _config(path: Path) -> GoodRateConfig:
    try:
        return GoodRateConfig.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise JobError("BadConfig", f"{path}: {error}", file=str(path)) from error


def run(args: argparse.Namespace) -> int:
    """Measure; 0 once a verdict is reported, whatever it is, and 1 with the reason where none could be reached."""
    reporter = reporter_from_environment(args.report)
    try:
        with reported(reporter):
            result = measure(_config(args.config), reporter)
    except Exception as error:  # whatever it was, it is in the report; a pod's log needs no traceback of ours
        print(f"lore goodrate run: {error}", file=sys.stderr)
        return 1
    print(f"{result.uri} {result.digest}{' (reused)' if result.reused else ''}")
    return 0
