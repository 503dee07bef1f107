"""The DeepSpeed engine of one rank, its loop and its checkpoints: the only module that knows DeepSpeed."""

import math
import os
import signal
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from lore_core.artifacts import ArtifactRef
from lore_core.jobs.config import DeepSpeedConfig, Optimizer
from lore_core.jobs.errors import JobError
from lore_core.training.checkpoints import Checkpoint
from lore_core.training.history import LOSS, History, OnStep
from lore_core.training.reshard import loading_universal
from lore_core.training.schedule import Order, learning_rate, step_seed
from lore_core.training.together import Ranks, SharedCheckpoints, full_weights, module_for_reading

_HISTORY: Final = "history"
_MEASURED: Final = "measured"
_KEPT: Final = "kept"


class Stage(Protocol):
    """What a stage brings to the loop: a model, a number of examples, and the loss of some of them."""

    model: Any

    def __len__(self) -> int:
        """Number of training examples."""

    def loss(self, engine: Any, indices: list[int]) -> Any:
        """Mean loss (a scalar tensor) of the examples at `indices`."""


class Judge(Protocol):
    """Measures the model on the tune split. Collective, and equal on every rank."""

    patience: int | None

    def measure(self, model: Any) -> tuple[float | None, dict[str, float]]:
        """The score that checkpoints are chosen by, more is better, None where the last counts; and all that was measured."""


class Chosen(NamedTuple):
    """The step whose weights a stage ends with, and what the judge measured of them."""

    step: int
    measured: dict[str, float]


def connect() -> Ranks:
    """Join the process group: nccl with GPUs, gloo without."""
    import torch

    gpu = torch.cuda.is_available()
    if not gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed looks for it when it is imported
    import deepspeed

    deepspeed.utils.logger.setLevel("WARNING")
    deepspeed.init_distributed(dist_backend="nccl" if gpu else "gloo", verbose=False)
    return Ranks.from_environment()


def deepspeed_config(config: DeepSpeedConfig, optimizer: Optimizer, world: int) -> dict[str, Any]:
    """DeepSpeed's own config. Every value is explicit; AdamW is torch's fused one: no kernel is built, one pass over memory."""
    if optimizer.batch_size % world:
        raise JobError(
            "BadConfig",
            f"optimizer.batchSize: {optimizer.batch_size} cannot be shared by {world} ranks; use a multiple",
            field="spec.optimizer.batchSize",
        )
    return {
        "train_batch_size": optimizer.batch_size,
        "train_micro_batch_size_per_gpu": optimizer.batch_size // world,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": float(optimizer.gradient_clip),
        "zero_optimization": {"stage": config.zero_stage},
        "bf16": {"enabled": config.dtype == "bfloat16"},
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": float(optimizer.learning_rate),
                "weight_decay": float(optimizer.weight_decay),
                "betas": [0.9, 0.98],
                "torch_adam": True,
                "fused": True,
            },
        },
        "steps_per_print": 1_000_000_000,
    }


class StopSignal:
    """Remembers SIGTERM instead of dying of it; the loop looks after each step."""

    def __init__(self) -> None:
        self.received = False
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, _number: int, _frame: object) -> None:
        self.received = True


class StageLoop:
    """Trains one stage on this rank, saving and resuming whole checkpoints; with a judge it ends with the best of them."""

    def __init__(
        self,
        stage: Stage,
        ranks: Ranks,
        optimizer: Optimizer,
        config: DeepSpeedConfig,
        where: ArtifactRef,
        scratch: Path,
        order: Order | None = None,
        judge: Judge | None = None,
    ) -> None:
        """`scratch` is a local folder that all ranks of the node share; `order` is the plain one where none is given."""
        import deepspeed

        self._stage, self._ranks, self._optimizer, self._judge = stage, ranks, optimizer, judge
        keep = optimizer.keep_checkpoints
        self._checkpoints = SharedCheckpoints(where, scratch, ranks, config.zero_stage, keep, reshards=True)
        self._order = order or Order.plain(len(stage), optimizer)
        self.history, self._done, self._scores = History(), 0, dict[int, float]()
        self._measured = dict[str, float]()
        self.kept = dict[str, Any]()
        """What the stage itself wants to find again after a resume; it lies in every checkpoint."""
        self.engine, *_ = deepspeed.initialize(
            model=stage.model,
            model_parameters=[p for p in stage.model.parameters() if p.requires_grad],
            config=deepspeed_config(config, optimizer, ranks.world),
        )

    def resume(self) -> int:
        """Load the newest whole checkpoint that these ranks can use; returns the steps already done."""
        for found in self._checkpoints.restored():
            self.history, self._measured, self.kept = self._load(found)
            self._done = found.step
            known = self._checkpoints.usable()
            self._scores = {c.step: c.score for c in known if c.score is not None and c.step <= found.step}
            break
        return self._done

    def _load(self, found: Checkpoint) -> tuple[History, dict[str, float], dict[str, Any]]:
        """Load a checkpoint that lies in scratch; returns its history, what was measured of it last, what the stage kept."""
        with loading_universal(self.engine, not self._checkpoints.fits(found)):
            _, kept = self.engine.load_checkpoint(str(self._checkpoints.scratch), tag=found.tag)
        self._checkpoints.drop(self._checkpoints.scratch / found.tag)
        return History(kept[_HISTORY]), dict(kept[_MEASURED]), dict(kept.get(_KEPT, {}))

    def run(self, start: int, checkpoint_every: int, on_step: OnStep) -> Chosen:
        """Steps `start` up to the last, or until the judge's patience is over; the best checkpoint's weights are loaded then.

        A termination signal (a suspended job, a drained node) ends it with a checkpoint and SystemExit.
        """
        stop, last = StopSignal(), self._optimizer.max_steps
        self.engine.train()  # loaded weights come in evaluation mode, and only a look at the tune split would end that
        for step in range(start, last):
            if self._patience_is_over(checkpoint_every):
                break
            loss, stopping = self._step(step, stop.received)
            if not math.isfinite(loss):
                raise JobError(
                    "LossNotFinite", f"step {step + 1}: the loss is {loss}; lower the learning rate or look at the data"
                )
            self._done = step + 1
            self.history.add(self._done, {LOSS: loss})
            on_step(self._done, {LOSS: loss})
            due = self._done % checkpoint_every == 0
            if self._judge is not None and (due or self._done == last):
                self._score(self._judge)
                on_step(self._done, self._measured)
            if self._done < last and (stopping or due):
                self.save(self._done)
                if stopping:
                    raise SystemExit(128 + signal.SIGTERM)
        return self._choose()

    def _score(self, judge: Judge) -> None:
        with module_for_reading(self.engine.module, self._checkpoints.zero_stage) as now:
            score, self._measured = judge.measure(now)
        if score is not None:
            self._scores[self._done] = score
        self.history.add(self._done, self._measured)

    def _patience_is_over(self, every: int) -> bool:
        if self._judge is None or self._judge.patience is None or not self._scores:
            return False
        return self._done // every - self._by_score()[0] // every >= self._judge.patience

    def _by_score(self) -> list[int]:
        """Scored steps, the best first, of equal ones the earlier."""
        return sorted(self._scores, key=lambda step: (-self._scores[step], step))

    def _choose(self) -> Chosen:
        """The weights of the best step are loaded; where that checkpoint is damaged, those of the next best."""
        saved = {found.step: found for found in self._checkpoints.usable()}
        for step in self._by_score():
            if step == self._done:
                break
            if step in saved and self._checkpoints.fetched(saved[step]):
                _, measured, _ = self._load(saved[step])
                return Chosen(step, measured)
        return Chosen(self._done, self._measured)

    def _step(self, step: int, stop: bool) -> tuple[float, bool]:
        """Mean loss over ranks, and whether any rank was asked to stop: all of them must save together."""
        import torch
        import torch.distributed as dist

        torch.manual_seed(step_seed(step, self._ranks.rank, self._optimizer))
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate(step, self._optimizer)
        loss = self._stage.loss(self.engine, self._order.share(step, self._ranks.rank, self._ranks.world))
        self.engine.backward(loss)
        self.engine.step()
        shared = torch.stack([loss.detach().float(), torch.tensor(float(stop), device=loss.device)])
        dist.all_reduce(shared)
        return float(shared[0]) / self._ranks.world, bool(shared[1] > 0)

    def save(self, step: int) -> None:
        """Save on all ranks, upload, and only then mark the checkpoint complete."""
        tag, scratch = f"step{step}", self._checkpoints.scratch
        state = {_HISTORY: self.history.state(), _MEASURED: self._measured, _KEPT: self.kept}
        self.engine.save_checkpoint(str(scratch), tag=tag, client_state=state, save_latest=False)
        self._checkpoints.publish(step, scratch / tag, self._scores.get(step))

    def weights(self) -> dict[str, Any]:
        """The full state dict on rank 0 (elsewhere empty), on CPU. Collective: call it on every rank."""
        return full_weights(self.engine.module, self._ranks, self._checkpoints.zero_stage)
