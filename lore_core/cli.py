"""`lore …`: the verbs that the pods run, for people too.

Each verb's module is imported only when the verb is used, so `lore --help` needs no heavy library.
A verb module has `add_arguments(parser)` and `run(args) -> int`, the exit status.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import lore_core

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_STALLED: Final = 3
"""The answer is there and it is no: what was asked about is stalled, or a promotion is refused."""


@dataclass(frozen=True)
class Verb:
    """One verb: its words, the module that does it, one line of help."""

    words: tuple[str, ...]
    module: str
    help: str


VERBS: Final = (
    Verb(
        ("data", "generate"),
        "lore_core.benchmark.command",
        "write the generated benchmark, its pairs, rules, items and query log",
    ),
    Verb(
        ("data", "import"), "lore_core.records.command", "map JSONL, CSV or Parquet columns onto pair records, strictly"
    ),
    Verb(("rules", "lint"), "lore_core.rules.lint_command", "find contradictions, overlaps and gaps of a rule set"),
    Verb(("rules", "stale"), "lore_core.rules.stale_command", "tell which artifacts were made under another rule set"),
    Verb(("labels", "show"), "lore_core.records.schema_command", "print the label schema that this version speaks"),
    Verb(
        ("labels", "migrate"),
        "lore_core.records.migrate_command",
        "write pairs of another label schema anew, by an explicit map",
    ),
    Verb(
        ("data", "rair"), "lore_core.records.rair_command", "make a benchmark of a local copy of the released RAIR set"
    ),
    Verb(
        ("model", "pretrain"),
        "lore_core.training.base_command",
        "pretrain the small base model on catalogue text and facts",
    ),
    Verb(
        ("model", "add-vision"),
        "lore_core.training.vision_command",
        "set a vision tower before a small text base, and teach it what pictures show",
    ),
    Verb(
        ("model", "import"),
        "lore_core.scoring.import_command",
        "publish a model that was made elsewhere, with a serving contract",
    ),
    Verb(
        ("model", "check"),
        "lore_core.training.check_command",
        "check that a model's four labels differ at exactly one token",
    ),
    Verb(("synthesize",), "lore_core.synthesis.command", "ask a teacher for reasoning traces and keep those that hold"),
    Verb(
        ("teacher", "stand-in"),
        "lore_core.benchmark.teacher_command",
        "serve the generated world's rule engine as a teacher",
    ),
    Verb(
        ("train", "report"), "lore_core.training.report_command", "write how a model's training went as one HTML file"
    ),
    Verb(("train",), "lore_core.training.command", "run one stage of a train job"),
    Verb(("quantize",), "lore_core.quantization.command", "publish a model's 8-bit variant as a model of its own"),
    Verb(("evaluate",), "lore_core.evaluation.command", "score a model on a benchmark and apply the gates"),
    Verb(
        ("gate", "dry-run"), "lore_core.evaluation.gate_command", "apply gates to finished evidence, changing nothing"
    ),
    Verb(("compare",), "lore_core.evaluation.compare_command", "print evaluations of one benchmark as one table"),
    Verb(("report",), "lore_core.evaluation.report_command", "write finished evidence as one HTML file and as JSON"),
    Verb(
        ("goodrate", "sample"), "lore_core.goodrate.sample_command", "draw served requests to rate, by day and stratum"
    ),
    Verb(("goodrate", "judge"), "lore_core.goodrate.judge_command", "let a model behind an endpoint rate a sample"),
    Verb(
        ("goodrate", "estimate"),
        "lore_core.goodrate.estimate_command",
        "estimate Query and Item GoodRate from the ratings of a sample",
    ),
    Verb(
        ("goodrate", "gsb"),
        "lore_core.goodrate.sides_command",
        "good, same or bad from side-by-side votes of two revisions",
    ),
    Verb(
        ("goodrate", "run"),
        "lore_core.goodrate.run_command",
        "sample, judge and estimate a served log, apply the gates",
    ),
    Verb(("head", "push"), "lore_core.headcache.push_command", "write a generation into a Redis or Valkey server"),
    Verb(("head", "build"), "lore_core.headcache.command", "score head candidates and write an immutable generation"),
    Verb(
        ("head", "candidates"), "lore_core.headcache.candidates_command", "choose head candidates from impression logs"
    ),
    Verb(("strata", "build"), "lore_core.strata.command", "build a strata snapshot from a query log"),
    Verb(
        ("strata", "propose"),
        "lore_core.strata.propose_command",
        "build a snapshot in a pod and report how far it is from the live one",
    ),
    Verb(("plan",), "lore_core.capacity.command", "plan replicas and GPU-hours of each tier for several boundaries"),
    Verb(("fetch",), "lore_core.artifacts.command", "fetch an artifact into a folder, verifying every byte"),
    Verb(
        ("discard",),
        "lore_core.artifacts.discard_command",
        "remove an artifact where it is the one that a digest names",
    ),
    Verb(("route", "explain"), "lore_core.router.explain_command", "ask a router why it answers a query as it does"),
    Verb(("route", "replay"), "lore_core.replay.command", "ask a request log of two routers and show what differs"),
    Verb(("router", "serve"), "lore_core.router.serve_command", "serve relevance requests"),
    Verb(("router", "load"), "lore_core.router.load_command", "keep the router's artifacts fetched and verified"),
    # Named, never imported: these read a cluster, of which this package knows nothing (ADR 0011).
    Verb(
        ("status",), "lore_operator.cli.status", "show a namespace's jobs, models, evaluations, deployments as a tree"
    ),
    Verb(("why",), "lore_operator.cli.why", "say why an object stands as it does, and what to do"),
    Verb(("logs",), "lore_operator.cli.logs", "print what the pods of an object say"),
    Verb(("cost",), "lore_operator.cli.cost", "pods, GPUs, hours and tokens that a namespace's objects took"),
    Verb(
        ("gc",), "lore_operator.cli.collect", "show what a workspace holds that nothing names any more, and delete it"
    ),
    Verb(("promote",), "lore_operator.cli.promote", "pin a model that passed into a kustomize overlay"),
    Verb(("completion",), "lore_core.completion", "print a completion script for bash, zsh or fish"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `lore`; returns the exit status (see docs/reference/cli.md for each)."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = _find(words)
    if verb is None:
        return _usage(words)
    module: Any = importlib.import_module(verb.module)
    parser = argparse.ArgumentParser(prog="lore " + " ".join(verb.words), description=verb.help)
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(words[len(verb.words) :])))


def _find(words: Sequence[str]) -> Verb | None:
    return next((verb for verb in VERBS if tuple(words[: len(verb.words)]) == verb.words), None)


def _usage(words: Sequence[str]) -> int:
    if words == ["--version"]:
        print(f"lore {lore_core.__version__}")
        return EXIT_OK
    asked = bool({"-h", "--help", "help"} & set(words))
    stream = sys.stdout if asked else sys.stderr
    if words and not asked:
        print(f"lore: unknown verb: {' '.join(words[:2])}", file=stream)
    print("usage: lore VERB [options]\n\nverbs:", file=stream)
    for verb in VERBS:
        print(f"  {' '.join(verb.words):<16} {verb.help}", file=stream)
    return EXIT_OK if asked else EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
