"""`lore train`: one stage of a train job, from its config to a published model."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lore_core.artifacts import ArtifactError, ArtifactRef, open_store
from lore_core.jobs import CONFIG_PATH, TrainConfig
from lore_core.jobs.config import AlignStage, DistillStage, SftStage, StudentKind
from lore_core.jobs.errors import JobError
from lore_core.jobs.report import Result
from lore_core.jobs.reporter import Reporter, reported, reporter_from_environment
from lore_core.prompts import RuleSource
from lore_core.records import RecordError
from lore_core.training.alignment.contract import align_kit
from lore_core.training.distill import require_causal
from lore_core.training.inputs import (
    CALIBRATION,
    TRAIN,
    TUNE,
    StageInputs,
    fetch,
    read_training_pairs,
    require_held_out_pairs,
)
from lore_core.training.launch import Topology, run_ranks
from lore_core.training.lineage import lineage_of
from lore_core.training.seeing import check_pictures, image_tokens, require_seeing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore train`."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_PATH), help="the stage's config, JSON")
    parser.add_argument("--report", type=Path, help="write the report to this file instead of a ConfigMap")


def run(args: argparse.Namespace) -> int:
    """Run the stage; 1 with the reason on stderr and in the report where that is impossible."""
    try:
        config = TrainConfig.model_validate_json(args.config.read_bytes())
        topology = Topology.from_environment(os.environ)
    except (OSError, ValidationError, JobError) as error:
        print(f"lore train: {args.config}: {error}", file=sys.stderr)
        return 1
    reporter = reporter_from_environment(args.report) if topology.node_rank == 0 else Reporter(None)
    try:
        with reported(reporter):
            if reuse(config, reporter):
                return 0
            with tempfile.TemporaryDirectory(prefix="lore-train-") as scratch:
                inputs = prepare(config, Path(scratch))
                return _run(topology, [str(args.config), str(inputs.root), str(args.report or "")])
    except (ArtifactError, JobError) as error:
        print(f"lore train: {error}", file=sys.stderr)
        return 1


def _run(topology: Topology, arguments: list[str]) -> int:
    status = run_ranks(topology, arguments)
    if status:
        print(f"lore train: a rank ended with status {status}; its own message stands above", file=sys.stderr)
    return 1 if status else 0


def reuse(config: TrainConfig, reporter: Reporter) -> bool:
    """Whether an equal stage's output exists already; it is then reported and nothing is computed."""
    store = open_store(config.output)
    if not store.exists():
        return False
    manifest = store.manifest()
    summary: dict[str, Any] = {
        name: manifest.metadata[name] for name in ("finalLoss", "steps") if name in manifest.metadata
    }
    reporter.succeeded(Result(uri=config.output.uri, digest=manifest.digest, reused=True), summary)
    print(f"reused {ArtifactRef(uri=config.output.uri, digest=manifest.digest).uri} {manifest.digest}")
    return True


def prepare(config: TrainConfig, scratch: Path) -> StageInputs:
    """Fetch all inputs and read them strictly, before a rank starts or a weights library is imported."""
    inputs = fetch(config, scratch)
    lineage_of(inputs.base, "baseModel")
    if inputs.teacher is not None:
        lineage_of(inputs.teacher, "teacher")
    read_training_pairs(config, inputs)
    for asked, name in (("selection", "selection"), ("pass_at_k", "passAtK")):
        if getattr(config.spec, asked, None) is not None:
            require_held_out_pairs(config, inputs, name)
    if isinstance(config.spec, DistillStage) and config.spec.calibrate_teacher:
        require_held_out_pairs(config, inputs, "calibrateTeacher", CALIBRATION)
    if isinstance(config.spec, SftStage):
        RuleSource.load(config.spec.rule_mode, inputs.rules)
    _look_at_pictures(config, inputs)
    if isinstance(config.spec, DistillStage) and config.spec.student is StudentKind.CAUSAL:
        require_causal(inputs.base)
    if isinstance(config.spec, AlignStage):
        align_kit(config.spec, inputs.base, inputs.rules)
    return inputs


def _look_at_pictures(config: TrainConfig, inputs: StageInputs) -> None:
    """What a base or a teacher that is shown pictures needs of itself and of the data."""
    spec, splits = config.spec, [TRAIN]
    if isinstance(spec, SftStage) and (most := image_tokens(inputs.base)) is not None:
        require_seeing(spec, inputs.base, most)
        seeing = inputs.base
        splits += [TUNE] if spec.selection is not None or spec.pass_at_k is not None else []
    elif inputs.teacher is not None and image_tokens(inputs.teacher) is not None:
        seeing = inputs.teacher
    else:
        return
    try:
        check_pictures(seeing, inputs.data, splits)
    except RecordError as error:
        raise error.named(inputs.data, config.data.uri) from error
