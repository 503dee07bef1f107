"""Who is timed: our stage loop with and without shared prefixes, and TRL's SFTTrainer as it comes and at its best."""

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from lore_core.artifacts import ArtifactRef
from lore_core.jobs import RuleMode, SftStage
from lore_core.jobs.config import DeepSpeedConfig, Layout, Optimizer
from lore_core.prompts import RuleSource, TextEncoder
from lore_core.records import Pair
from lore_core.training.examples import Example
from lore_core.training.sft import SftModel, sft_kit

TRL = {
    "TRL defaults": {},
    "TRL, no checkpointing": {"gradient_checkpointing": False},
    "TRL, length-grouped": {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"},
}
"""What SFTTrainer is told beside what all are told; its packing isolates pairs only with flash attention, so it is not here."""


@dataclass
class Contender:
    """`run(steps)` trains so many steps and returns the seconds of one, the first left out; `loss` is that of given pairs."""

    name: str
    run: Callable[[int], float]
    loss: Callable[[Sequence[int]], float]


class Marks:
    """Times of steps."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, *_: Any) -> None:
        """A step has ended."""
        self.times.append(time.perf_counter())

    @property
    def step(self) -> float:
        """Median seconds between the ends of two steps."""
        return statistics.median(after - before for before, after in pairwise(self.times))


def settings(batch: int, steps: int, *, share: bool) -> SftStage:
    return SftStage(
        layout=Layout.LABEL_FIRST,
        rule_mode=RuleMode.NONE,
        max_prompt_tokens=256,
        share_prefix=share,
        optimizer=Optimizer(batch_size=batch, max_steps=steps, checkpoint_every=1_000_000, learning_rate="0.0005"),
    )


def stage(base: Path, pairs: Sequence[Pair], spec: SftStage) -> SftModel:
    encoder = TextEncoder.load(base)
    return SftModel(sft_kit(spec, encoder, pairs), base, pairs, RuleSource(RuleMode.NONE, None), spec)


def ours(name: str, base: Path, pairs: Sequence[Pair], spec: SftStage, scratch: Path) -> Contender:
    """A stage's own loop on one rank, DeepSpeed and all; checkpoints are left out, as they are of TRL."""
    from lore_core.training.engine import StageLoop
    from lore_core.training.together import Ranks

    made = stage(base, pairs, spec)
    scratch.mkdir()
    where = ArtifactRef(uri=(scratch / "checkpoints").as_uri())
    loop = StageLoop(made, Ranks(0, 1, 0), spec.optimizer, DeepSpeedConfig(zero_stage=0), where, scratch, made.order)

    def run(_steps: int) -> float:
        marks = Marks()
        loop.run(0, spec.optimizer.checkpoint_every, marks)
        return marks.step

    def loss(rows: Sequence[int]) -> float:
        return float(made.loss(loop.engine, list(rows)).detach())

    return Contender(name, run, loss)


def trl(
    name: str, told: Mapping[str, Any], model: Any, examples: Sequence[Example], batch: int, out: Path
) -> Contender:
    """SFTTrainer on the same token ids and targets."""
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast, PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    marks = Marks()

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks()

    gpu = torch.cuda.is_available()
    config = SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=batch,
        learning_rate=5e-4,
        max_steps=2,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
        dataloader_pin_memory=gpu,
        use_cpu=not gpu,
        bf16=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        **told,
    )
    rows = [{"input_ids": list(one.token_ids), "labels": list(one.targets)} for one in examples]
    trainer = SFTTrainer(
        model=copy.deepcopy(model),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=PreTrainedTokenizerFast.from_pretrained(str(model.name_or_path)),
        callbacks=[Watch()],
    )

    trainer.remove_callback(PrinterCallback)
    if trainer.accelerator.use_distributed:
        raise RuntimeError("TRL would train through DDP, which costs it time that one process need not spend")

    def run(steps: int) -> float:
        marks.times.clear()
        trainer.args.max_steps = steps
        trainer.train()
        return marks.step

    def loss(chosen: Sequence[int]) -> float:
        inputs = trainer._prepare_inputs(trainer.data_collator([rows[row] for row in chosen]))
        return float(trainer.compute_loss(trainer.model, inputs).detach())

    return Contender(name, run, loss)
