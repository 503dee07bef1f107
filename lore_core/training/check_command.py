"""`lore model check`: whether a model's labels can be scored in its exact prompt."""

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from lore_core import output
from lore_core.jobs.errors import JobError
from lore_core.prompts import ContractError, ModelKit, RuleSource
from lore_core.records import read_pairs
from lore_core.training.check import CheckResult, check_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore model check`."""
    parser.add_argument("--model", type=Path, required=True, help="folder of a model artifact")
    parser.add_argument("--pairs", type=Path, required=True, help="JSONL file of pairs to render")
    parser.add_argument("--rules", type=Path, help="folder of the rule set, for models that are shown retrieved rules")
    parser.add_argument("--limit", type=int, default=200, help="pairs to score (default %(default)s)")
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 where the model must not be served."""
    from lore_core.scoring.reference import TransformersScorer

    try:
        kit = ModelKit.load(args.model)
        rules = RuleSource.load(kit.contract.rule_mode, args.rules)
        pairs = list(islice(read_pairs(args.pairs), args.limit))
        if not pairs:
            raise ValueError(f"{args.pairs}: holds no pair")
        prompts = [kit.render(pair, rules(pair)) for pair in pairs]
        scores = TransformersScorer(args.model).score(prompts)
    except (ContractError, JobError, OSError, ValueError) as error:
        print(f"lore model check: {error}", file=sys.stderr)
        return 1
    result = check_model(kit, prompts, scores)
    print(_table(kit, result) if args.output == "table" else output.document(_document(kit, result), args.output))
    for problem in result.problems:
        print(f"problem: {problem}", file=sys.stderr)
    return 1 if result.problems else 0


def _table(kit: ModelKit, result: CheckResult) -> str:
    return "\n".join(
        (
            f"layout {kit.contract.layout}, labels at token ids {list(kit.contract.verbaliser.token_ids)}",
            f"{result.prompts} prompts, {result.truncated} truncated",
            f"mass outside the labels: mean {result.mean_outside:.4f}, worst {result.worst_outside:.4f}",
        )
    )


def _document(kit: ModelKit, result: CheckResult) -> dict[str, Any]:
    return {
        "layout": kit.contract.layout.value,
        "labelTokens": list(kit.contract.verbaliser.token_ids),
        "prompts": result.prompts,
        "truncated": result.truncated,
        "meanOutside": result.mean_outside,
        "worstOutside": result.worst_outside,
        "problems": list(result.problems),
    }
