"""`lore evaluate --config FILE`."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from lore_core.evaluation.run import Endpoint, evaluate
from lore_core.jobs import CONFIG_PATH, EvaluateConfig
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import reported, reporter_from_environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore evaluate`."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_PATH), help="an EvaluateConfig as JSON")
    parser.add_argument("--report", type=Path, help="write the report into this file instead of a ConfigMap")
    parser.add_argument(
        "--endpoint", metavar="URL", help="score against this running vLLM server instead of starting one"
    )
    parser.add_argument("--served-model", default="model", metavar="NAME", help="the model's name at --endpoint")


def _config(path: Path) -> EvaluateConfig:
    try:
        return EvaluateConfig.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise JobError("BadConfig", f"{path}: {error}", file=str(path)) from error


def run(args: argparse.Namespace) -> int:
    """Evaluate; 0 once a verdict is reported, whatever it is, and 1 with the reason where none could be reached."""
    reporter = reporter_from_environment(args.report)
    try:
        with reported(reporter):
            config = _config(args.config)
            endpoint = Endpoint(args.endpoint, args.served_model) if args.endpoint else None
            result = evaluate(config, reporter, endpoint)
    except Exception as error:  # whatever it was, it is in the report; a pod's log needs no traceback of ours
        print(f"lore evaluate: {error}", file=sys.stderr)
        return 1
    print(f"{result.uri} {result.digest}{' (reused)' if result.reused else ''}")
    return 0
