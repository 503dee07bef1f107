"""`lore synthesize`: a synthesize stage, from its config to a published pairs artifact."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from lore_core.artifacts import ArtifactError, ArtifactRef, open_store, verify
from lore_core.jobs import CONFIG_PATH, Capability, SynthesizeConfig
from lore_core.jobs.errors import JobError
from lore_core.jobs.report import Result
from lore_core.jobs.reporter import Reporter, reported, reporter_from_environment
from lore_core.records.schema import require_schema
from lore_core.rules import RuleSet
from lore_core.synthesis.job import publish_pairs, synthesize
from lore_core.synthesis.limits import SystemClock
from lore_core.training.inputs import read_train_split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore synthesize`."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_PATH), help="the stage's config, JSON")
    parser.add_argument("--report", type=Path, help="write the report to this file instead of a ConfigMap")


def run(args: argparse.Namespace) -> int:
    """Run the stage; 1 with the reason on stderr and in the report where that is impossible."""
    try:
        config = SynthesizeConfig.model_validate_json(args.config.read_bytes())
    except (OSError, ValidationError) as error:
        print(f"lore synthesize: {args.config}: {error}", file=sys.stderr)
        return 1
    reporter = reporter_from_environment(args.report)
    try:
        with reported(reporter), tempfile.TemporaryDirectory(prefix="lore-synthesize-") as scratch:
            ref = _reused(config, reporter) or _made(config, reporter, Path(scratch))
    except (ArtifactError, JobError) as error:
        print(f"lore synthesize: {error}", file=sys.stderr)
        return 1
    print(f"{ref.uri} {ref.digest}")
    return 0


def _reused(config: SynthesizeConfig, reporter: Reporter) -> ArtifactRef | None:
    store = open_store(config.output)
    if not store.exists():
        return None
    manifest = store.manifest()
    reporter.succeeded(Result(uri=config.output.uri, digest=manifest.digest, reused=True), dict(manifest.metadata))
    return config.output.model_copy(update={"digest": manifest.digest})


def _made(config: SynthesizeConfig, reporter: Reporter, scratch: Path) -> ArtifactRef:
    inputs = _fetched(config, scratch)
    pairs = read_train_split(config.data.uri, scratch / "data")
    rules = RuleSet.load(scratch / "ruleSet") if config.rule_set else None
    reporter.started(inputs, len(pairs))
    found = asyncio.run(synthesize(config, pairs, rules, reporter, SystemClock()))
    ref = publish_pairs(config, found, scratch / "data", inputs, scratch / "out")
    assert ref.digest is not None  # publish returns the digest
    reporter.succeeded(Result(uri=ref.uri, digest=ref.digest), found.report)
    return ref


def _fetched(config: SynthesizeConfig, scratch: Path) -> dict[str, str]:
    """Fetch and verify; digests by role. Raises JobError where a kind or the label schema does not fit."""
    wanted = {"data": (config.data, "pairs")}
    if config.rule_set is not None:
        wanted["ruleSet"] = (config.rule_set, "rule-set")
    elif Capability.RULES in config.spec.capabilities:
        raise JobError(
            "MissingRuleSet", "ruleSet: the capability Rules needs one; give it or leave Rules out", field="ruleSet"
        )
    found = {}
    for name, (ref, kind) in wanted.items():
        manifest = verify(ref, scratch / name)
        if manifest.kind != kind:
            raise JobError(
                "WrongArtifactKind", f"{name}: {ref.uri} is a {manifest.kind}, needed is a {kind}", field=name
            )
        require_schema(name, ref.uri, manifest.metadata)
        found[name] = manifest.digest
    return found
