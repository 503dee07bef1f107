"""`lore evaluate --config FILE`."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from lore_core.evaluation.run import evaluate, reduce
from lore_core.evaluation.shard import Endpoint, score_shard
from lore_core.jobs import CONFIG_PATH, EvaluateConfig
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import Reporter, reported, reporter_from_environment, shard_reporter

_INDEX: Final = "JOB_COMPLETION_INDEX"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore evaluate`."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_PATH), help="an EvaluateConfig as JSON")
    parser.add_argument("--report", type=Path, help="write the report into this file instead of a ConfigMap")
    parser.add_argument(
        "--endpoint", metavar="URL", help="score against this running vLLM server instead of starting one"
    )
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--shard", action="store_true", help="score only the shard that JOB_COMPLETION_INDEX names")
    step.add_argument("--reduce", action="store_true", help="score nothing; judge what all shards have scored")
    parser.add_argument("--served-model", default="model", metavar="NAME", help="the model's name at --endpoint")


def _config(path: Path) -> EvaluateConfig:
    try:
        return EvaluateConfig.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise JobError("BadConfig", f"{path}: {error}", file=str(path)) from error


def _score(config: EvaluateConfig, reporter: Reporter, endpoint: Endpoint | None) -> int:
    """This pod's shard; Kubernetes gives its index to the pods of an Indexed Job."""
    index = os.environ.get(_INDEX, "")
    if not index.isdecimal() or int(index) >= config.shards:
        raise JobError("BadConfig", f"JOB_COMPLETION_INDEX is {index!r}; give this shard's index below {config.shards}")
    reporter.shared_by(config.shards)
    print(f"scored {score_shard(config, int(index), reporter, endpoint)} pairs of shard {index} of {config.shards}")
    return 0


def _reporter(args: argparse.Namespace) -> Reporter:
    index = os.environ.get(_INDEX, "")
    return (
        shard_reporter(int(index))
        if args.shard and index.isdecimal() and not args.report
        else (reporter_from_environment(args.report))
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate; 0 once a verdict is reported, whatever it is, and 1 with the reason where none could be reached."""
    reporter = _reporter(args)
    try:
        with reported(reporter):
            config = _config(args.config)
            endpoint = Endpoint(args.endpoint, args.served_model) if args.endpoint else None
            if args.shard:
                return _score(config, reporter, endpoint)
            result = reduce(config, reporter) if args.reduce else evaluate(config, reporter, endpoint)
    except Exception as error:  # whatever it was, it is in the report; a pod's log needs no traceback of ours
        print(f"lore evaluate: {error}", file=sys.stderr)
        return 1
    print(f"{result.uri} {result.digest}{' (reused)' if result.reused else ''}")
    return 0
