"""One rank of a training stage: `python -m lore_core.training.worker CONFIG INPUTS REPORT` under torchrun's environment."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import JsonValue

from lore_core.jobs.config import AlignStage, DistillStage, Optimizer, RuleMode, SftStage, TrainConfig
from lore_core.jobs.report import Progress, Result
from lore_core.jobs.reporter import Reporter, reported, reporter_from_environment
from lore_core.prompts import ModelKit, RuleSource, TextEncoder
from lore_core.training.inputs import StageInputs, read_held_out_pairs, read_training_pairs
from lore_core.training.schedule import Order
from lore_core.training.together import Ranks, gathered

_CURVE_POINTS: Final = 40


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
    from lore_core.training.engine import StageLoop, connect
    from lore_core.training.rows import whole_weights

    ranks = connect()
    optimizer = config.spec.optimizer
    reporter.started(inputs.resolved, optimizer.max_steps)
    scratch = inputs.root / "checkpoints"
    scratch.mkdir(exist_ok=True)
    if isinstance(config.spec, AlignStage):
        _align(config, config.spec, inputs, reporter, ranks, scratch)
        return
    stage = build_stage(config, inputs)
    order = stage.order if isinstance(config.spec, SftStage) else Order.plain(len(stage), optimizer)
    if isinstance(config.spec, DistillStage):
        _look_ahead(stage, order, optimizer, ranks)
    loop = StageLoop(stage, ranks, optimizer, config.deepspeed, config.checkpoints, scratch, order)
    start = loop.resume()
    losses = loop.run(start, optimizer.checkpoint_every, _progress(reporter, start, optimizer.max_steps))
    weights = whole_weights(stage.model, loop.weights())
    if ranks.rank == 0:
        summary = {
            "curve": _curve(start, losses),
            "pairs": len(stage),
            "truncatedShare": f"{stage.examples.truncated / max(1, stage.examples.rendered):.4f}",
            "resumedFromStep": start,
        }
        _finish(config, inputs, reporter, Trained(stage.kit, stage.model, weights), losses, summary)


def _align(
    config: TrainConfig, spec: AlignStage, inputs: StageInputs, reporter: Reporter, ranks: Ranks, scratch: Path
) -> None:
    from lore_core.training.alignment.stage import Alignment

    pairs, held_out = read_training_pairs(config, inputs), read_held_out_pairs(config, inputs)
    alignment = Alignment(config, spec, inputs, pairs, held_out, ranks)
    # Steps done before a resume cost this attempt nothing, so the rest is told from its own first step.
    done = alignment.run(scratch, _progress(reporter, 0, spec.optimizer.max_steps))
    if ranks.rank == 0:
        summary = {
            "curve": _curve(spec.optimizer.max_steps - len(done.losses), done.losses),
            "pairs": alignment.pool.counts["chosen"],
            "resumedFromStep": done.resumed,
            **done.summary,
        }
        _finish(config, inputs, reporter, Trained(done.kit, done.model, done.weights), done.losses, summary)


class Trained(NamedTuple):
    """What a stage leaves on rank 0."""

    kit: ModelKit
    model: Any
    weights: dict[str, Any]


def _look_ahead(stage: Any, order: Order, optimizer: Optimizer, ranks: Ranks) -> None:
    """Tell the student what this rank will draw, and train no embedding of words that no rank's pairs say."""
    from lore_core.training.rows import train_rows

    steps = range(optimizer.max_steps)
    mine = stage.expect([index for step in steps for index in order.share(step, ranks.rank, ranks.world)])
    train_rows(stage.model, set().union(*gathered(mine, ranks)))


def build_stage(config: TrainConfig, inputs: StageInputs) -> Any:
    """Model and examples of the configured stage."""
    pairs = read_training_pairs(config, inputs)
    encoder = TextEncoder.load(inputs.base)
    if isinstance(config.spec, SftStage):
        from lore_core.training.sft import SftModel, sft_kit

        rules = RuleSource.load(config.spec.rule_mode, inputs.rules)
        return SftModel(sft_kit(config.spec, encoder, pairs), inputs.base, pairs, rules, config.spec)
    assert isinstance(config.spec, DistillStage)  # an align stage is built elsewhere
    return _build_student(config.spec, inputs, encoder, pairs)


def _build_student(spec: DistillStage, inputs: StageInputs, encoder: TextEncoder, pairs: list[Any]) -> Any:
    from lore_core.training.distill import StudentModel, distill_kit
    from lore_core.training.teacher import Teacher

    rules = RuleSource.load(RuleMode.RETRIEVED if inputs.rules else RuleMode.NONE, inputs.rules)
    teacher = Teacher(inputs.teacher, rules).probabilities if inputs.teacher else None
    return StudentModel(distill_kit(spec, encoder, rules.mode), inputs.base, pairs, rules, teacher)


def _progress(reporter: Reporter, start: int, total: int) -> Callable[[int, float], None]:
    began = time.monotonic()

    def on_step(done: int, loss: float) -> None:
        each = (time.monotonic() - began) / max(1, done - start)
        left = round(each * (total - done))
        reporter.progress(Progress(step=done, total_steps=total, loss=f"{loss:.4f}", seconds_remaining=left))

    return on_step


def _finish(
    config: TrainConfig,
    inputs: StageInputs,
    reporter: Reporter,
    made: Trained,
    losses: list[float],
    summary: dict[str, Any],
) -> None:
    from lore_core.training.export import publish_model, write_model

    final = f"{sum(losses[-10:]) / max(1, len(losses[-10:])):.4f}"
    with tempfile.TemporaryDirectory(dir=inputs.root) as name:
        write_model(made.model, made.weights, made.kit, inputs.base, Path(name))
        about: dict[str, JsonValue] = {
            "stage": config.stage,
            "steps": config.spec.optimizer.max_steps,
            "finalLoss": final,
        }
        ref = publish_model(Path(name), config.output, made.kit, inputs.resolved, about)
    assert ref.digest is not None  # publish returns the digest
    reporter.succeeded(Result(uri=ref.uri, digest=ref.digest), {"loss": final, **summary})


def _curve(start: int, losses: list[float]) -> list[list[float]]:
    stride = max(1, len(losses) // _CURVE_POINTS)
    return [[start + index + 1, round(losses[index], 4)] for index in range(0, len(losses), stride)]


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
