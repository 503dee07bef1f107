"""`lore rules lint`: contradictions, overlaps and gaps of a rule set."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from lore_core import output
from lore_core.rules.lint import FAILING, Problem, lint
from lore_core.rules.model import RuleSet, RuleSetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore rules lint`."""
    parser.add_argument("rules", type=Path, help="rules.json, or the folder of a rule-set artifact")
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print every finding and the counts; 1 where a contradiction, an overlap or a gap was found."""
    try:
        rules = RuleSet.load(args.rules)
    except RuleSetError as error:
        print(f"lore rules lint: {error}", file=sys.stderr)
        return 1
    found = lint(rules)
    counts = Counter(finding.problem for finding in found)
    if args.output == "table":
        said = ", ".join(f"{counts[problem]} {problem}" for problem in Problem)
        lines = [f"{finding.problem}: {finding.message}" for finding in found]
        print("\n".join([*lines, f"{len(rules.rules)} rules, {said}; {rules.digest}"]))
    else:
        findings = [{"problem": finding.problem.value, "message": finding.message} for finding in found]
        print(output.document({"rules": len(rules.rules), "digest": rules.digest, "findings": findings}, args.output))
    return 1 if FAILING & counts.keys() else 0
