"""One rank of a training stage: `python -m lore_core.training.worker CONFIG INPUTS REPORT` under torchrun's environment."""

import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import JsonValue

from lore_core.artifacts import open_store
from lore_core.jobs.config import AlignStage, DistillStage, Optimizer, RuleMode, SftStage, TrainConfig
from lore_core.jobs.report import Progress, Result
from lore_core.jobs.reporter import Reporter, reported, reporter_from_environment
from lore_core.prompts import ModelKit, RuleSource, TextEncoder
from lore_core.records import Pair
from lore_core.scoring.pixels import PictureReader
from lore_core.training.card import CARD_NAME, model_card
from lore_core.training.curves import CURVES_NAME, TrainingCurves
from lore_core.training.history import LOSS, History, OnStep
from lore_core.training.inputs import (
    CALIBRATION,
    StageInputs,
    read_held_out_pairs,
    read_held_out_queries,
    read_training_pairs,
)
from lore_core.training.judge import CheckpointJudge, Found
from lore_core.training.lineage import LINEAGE, MadeBy, lineage_json, lineage_of
from lore_core.training.order import student_order
from lore_core.training.page import PAGE_NAME, training_page
from lore_core.training.passing import PassMeter
from lore_core.training.schedule import Order
from lore_core.training.seeing import image_tokens
from lore_core.training.teaching import TaughtBy
from lore_core.training.together import Ranks, gathered
from lore_core.training.towers import learnt_kit
from lore_core.training.tune import TuneJudge, tune_sample


def main(config_path: str, inputs_path: str, report: str) -> None:
    """Train, export, publish, report; leaves the process without Python's teardown."""
    config = TrainConfig.model_validate_json(Path(config_path).read_bytes())
    inputs = StageInputs.load(Path(inputs_path))
    reporter = reporter_from_environment(Path(report) if report and os.environ["RANK"] == "0" else None)
    with reported(reporter):
        train(config, inputs, reporter)
    leave()


def train(config: TrainConfig, inputs: StageInputs, reporter: Reporter) -> None:
    """The whole stage on this rank."""
    from lore_core.training.engine import connect

    ranks = connect()
    reporter.started(inputs.resolved, config.spec.optimizer.max_steps)
    scratch = inputs.root / "checkpoints"
    scratch.mkdir(exist_ok=True)
    run = _align if isinstance(config.spec, AlignStage) else _tune
    trained, summary = run(config, inputs, reporter, ranks, scratch)
    if ranks.rank == 0:
        _finish(config, inputs, reporter, trained, summary)


class Trained(NamedTuple):
    """What a stage leaves on rank 0; elsewhere `weights` are empty. `found` is of the weights, which are those of `step`."""

    kit: ModelKit
    model: Any
    weights: dict[str, Any]
    history: History
    step: int
    found: Found


Outcome = tuple[Trained, dict[str, Any]]


def _tune(config: TrainConfig, inputs: StageInputs, reporter: Reporter, ranks: Ranks, scratch: Path) -> Outcome:
    """An sft or distill stage."""
    from lore_core.training.engine import StageLoop
    from lore_core.training.lora import merged_weights
    from lore_core.training.rows import whole_weights

    spec, optimizer, stage = config.spec, config.spec.optimizer, build_stage(config, inputs, ranks)
    order = student_order(stage.pairs, spec) if isinstance(spec, DistillStage) else stage.order
    if isinstance(spec, DistillStage):
        _look_ahead(stage, order, optimizer, ranks)
    judge = _judge(config, inputs, stage, ranks)
    loop = StageLoop(stage, ranks, optimizer, config.deepspeed, config.checkpoints, scratch, order, judge)
    start = loop.resume()
    chosen = loop.run(start, optimizer.checkpoint_every, _progress(reporter, start, optimizer.max_steps))
    weights = merged_weights(stage.model, whole_weights(stage.model, loop.weights()))
    found = judge.found(chosen.measured) if judge else Found({})
    trained = Trained(learnt_kit(stage.kit, weights), stage.model, weights, loop.history, chosen.step, found)
    pictures = stage.pictures if isinstance(spec, SftStage) else None
    return trained, {
        "pairs": len(stage),
        **({"pictures": pictures} if pictures else {}),
        **(stage.teaching.summary() if isinstance(spec, DistillStage) and stage.teaching else {}),
        "truncatedShare": f"{stage.examples.truncated / max(1, stage.examples.rendered):.4f}",
        "resumedFromStep": start,
    }


def _judge(config: TrainConfig, inputs: StageInputs, stage: Any, ranks: Ranks) -> CheckpointJudge | None:
    """What checkpoints are measured by; None where nothing is."""
    spec, zero = config.spec, config.deepspeed.zero_stage
    assert not isinstance(spec, AlignStage)  # guarded, not judged
    sampled = spec.pass_at_k if isinstance(spec, SftStage) else None
    if spec.selection is None and sampled is None:
        return None
    held_out, seed = read_held_out_pairs(config, inputs), spec.optimizer.seed
    reader = PictureReader.of(inputs.base, stage.kit)
    chooser = meter = None
    if spec.selection is not None:
        pairs = tune_sample(held_out, spec.selection.pairs, seed)
        chooser = TuneJudge(stage.kit, pairs, stage.rules, spec.selection, ranks, zero, reader)
    if sampled is not None:
        meter = PassMeter(stage.kit, held_out, stage.rules, sampled, seed, ranks, zero, reader)
    return CheckpointJudge(chooser, meter)


def _align(config: TrainConfig, inputs: StageInputs, reporter: Reporter, ranks: Ranks, scratch: Path) -> Outcome:
    from lore_core.training.alignment.stage import Alignment

    assert isinstance(config.spec, AlignStage)  # chosen by the caller
    pairs, held_out = read_training_pairs(config, inputs), read_held_out_pairs(config, inputs)
    alignment = Alignment(config, config.spec, inputs, pairs, held_out, ranks)
    # Steps done before a resume cost this attempt nothing, so the rest is told from its own first step.
    done = alignment.run(scratch, _progress(reporter, 0, config.spec.optimizer.max_steps))
    found = Found({}, sampled=done.sampled)
    trained = Trained(done.kit, done.model, done.weights, done.history, config.spec.optimizer.max_steps, found)
    return trained, {"pairs": alignment.pool.counts["chosen"], "resumedFromStep": done.resumed, **done.summary}


def _look_ahead(stage: Any, order: Order, optimizer: Optimizer, ranks: Ranks) -> None:
    """Tell the student what this rank will draw, and train no embedding of words that no rank's pairs say."""
    from lore_core.training.rows import train_rows

    steps = range(optimizer.max_steps)
    mine = stage.expect([index for step in steps for index in order.share(step, ranks.rank, ranks.world)])
    train_rows(stage.model, set().union(*gathered(mine, ranks)))


def build_stage(config: TrainConfig, inputs: StageInputs, ranks: Ranks) -> Any:
    """Model and examples of the configured stage. Collective."""
    pairs = read_training_pairs(config, inputs)
    encoder = TextEncoder.load(inputs.base)
    if isinstance(config.spec, SftStage):
        from lore_core.training.sft import SftModel, sft_kit

        rules = RuleSource.load(config.spec.rule_mode, inputs.rules)
        kit = sft_kit(config.spec, encoder, pairs, image_tokens(inputs.base))
        return SftModel(kit, inputs.base, pairs, rules, config.spec)
    assert isinstance(config.spec, DistillStage)  # an align stage is built elsewhere
    rules = RuleSource.load(RuleMode.RETRIEVED if inputs.rules else RuleMode.NONE, inputs.rules)
    taught = _taught(config, config.spec, inputs, rules, ranks) if inputs.teacher is not None else None
    return _build_student(config.spec, inputs.base, encoder, pairs, rules, taught)


def _taught(config: TrainConfig, spec: DistillStage, inputs: StageInputs, rules: RuleSource, ranks: Ranks) -> TaughtBy:
    """A distill stage's teacher, calibrated where that is asked for."""
    from lore_core.training.teacher import Teacher
    from lore_core.training.temperature import calibration_of, tempered

    assert inputs.teacher is not None  # asked by the caller
    judge, held_out = Teacher(inputs.teacher, rules).probabilities, read_held_out_queries(config, inputs)
    if not spec.calibrate_teacher:
        return TaughtBy(judge, spec, held_out)
    fitted = calibration_of(judge, read_held_out_pairs(config, inputs, CALIBRATION), ranks)
    return TaughtBy(tempered(judge, fitted), spec, held_out, fitted.temperature)


def _build_student(
    spec: DistillStage,
    base: Path,
    encoder: TextEncoder,
    pairs: list[Pair],
    rules: RuleSource,
    taught: TaughtBy | None,
) -> Any:
    from lore_core.training.distill import StudentModel, distill_kit, without_dropout

    student = StudentModel(distill_kit(spec, encoder, rules.mode), base, pairs, rules, taught)
    without_dropout(student.model)
    return student


def _progress(reporter: Reporter, start: int, total: int) -> OnStep:
    began, latest = time.monotonic(), dict[str, str]()

    def on_step(done: int, values: Mapping[str, float]) -> None:
        latest.update({name: f"{value:.4f}" for name, value in values.items() if math.isfinite(value)})
        each = (time.monotonic() - began) / max(1, done - start)
        left = round(each * (total - done))
        now = Progress(step=done, total_steps=total, loss=latest.get(LOSS), seconds_remaining=left)
        reporter.progress(now, latest)

    return on_step


def _finish(
    config: TrainConfig, inputs: StageInputs, reporter: Reporter, trained: Trained, summary: dict[str, Any]
) -> None:
    from lore_core.training.export import publish_model, write_model

    made = _made_by(config, inputs, trained)
    stages = (*lineage_of(inputs.base, "baseModel"), made)
    teacher = lineage_of(inputs.teacher, "teacher") if inputs.teacher else ()
    with tempfile.TemporaryDirectory(dir=inputs.root) as name:
        write_model(trained.model, trained.weights, trained.kit, inputs.base, Path(name))
        (Path(name) / CARD_NAME).write_text(model_card(trained.kit, stages, teacher), encoding="utf-8")
        curves = TrainingCurves.model_validate({"curves": trained.history.curves})
        (Path(name) / CURVES_NAME).write_bytes(curves.to_bytes())
        open_store(config.folder).write_bytes(PAGE_NAME, training_page(stages, curves.curves).encode())
        about: dict[str, JsonValue] = {
            "stage": config.stage,
            "steps": trained.step,
            "finalLoss": made.final_loss,
            LINEAGE: lineage_json(stages),
        }
        ref = publish_model(Path(name), config.output, trained.kit, inputs.resolved, about)
    assert ref.digest is not None  # publish returns the digest
    scores = {**made.scores, **(made.sampled.scores if made.sampled else {})}
    told = {"loss": made.final_loss, "step": trained.step, **scores, "curves": trained.history.curves, **summary}
    reporter.succeeded(Result(uri=ref.uri, digest=ref.digest), told)


def _made_by(config: TrainConfig, inputs: StageInputs, trained: Trained) -> MadeBy:
    spec = config.spec
    return MadeBy(
        stage=config.stage,
        kind=f"{spec.kind} {spec.method}" if isinstance(spec, AlignStage) else spec.kind,
        step=trained.step,
        steps=spec.optimizer.max_steps,
        batch_size=spec.optimizer.batch_size,
        learning_rate=spec.optimizer.learning_rate,
        final_loss=f"{trained.history.final_loss:.4f}",
        inputs=inputs.resolved,
        scores={name: f"{value:.4f}" for name, value in trained.found.scores.items()},
        scored_pairs=trained.found.pairs,
        sampled=trained.found.sampled,
        lora=spec.lora if isinstance(spec, SftStage) else None,
    )


def leave() -> None:
    """End all ranks together and at once.

    Everything is published and read back by now. A rank that goes through the interpreter's teardown sometimes aborts in a
    communication thread (`terminate called without an active exception`), which would turn a finished stage into a failed one.
    """
    import torch.distributed as dist

    dist.barrier()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:4])
