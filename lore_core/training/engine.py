"""The DeepSpeed engine of one rank, its loop and its checkpoints: the only module that knows DeepSpeed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from lore_core.artifacts import ArtifactRef
from lore_core.jobs.config import DeepSpeedConfig, Optimizer
from lore_core.jobs.errors import JobError
from lore_core.training.schedule import Order, learning_rate, step_seed
from lore_core.training.together import Ranks, SharedCheckpoints, full_weights

OnStep = Callable[[int, float], None]


class Stage(Protocol):
    """What a stage brings to the loop: a model, a number of examples, and the loss of some of them."""

    model: Any

    def __len__(self) -> int:
        """Number of training examples."""

    def loss(self, engine: Any, indices: list[int]) -> Any:
        """Mean loss (a scalar tensor) of the examples at `indices`."""


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
    """Trains one stage on this rank, saving and resuming whole checkpoints."""

    def __init__(
        self,
        stage: Stage,
        ranks: Ranks,
        optimizer: Optimizer,
        config: DeepSpeedConfig,
        where: ArtifactRef,
        scratch: Path,
        order: Order | None = None,
    ) -> None:
        """`scratch` is a local folder that all ranks of the node share; `order` is the plain one where none is given."""
        import deepspeed

        self._stage, self._ranks, self._optimizer = stage, ranks, optimizer
        self._checkpoints = SharedCheckpoints(where, scratch, ranks, config.zero_stage)
        self._order = order or Order.plain(len(stage), optimizer)
        self.engine, *_ = deepspeed.initialize(
            model=stage.model,
            model_parameters=[p for p in stage.model.parameters() if p.requires_grad],
            config=deepspeed_config(config, optimizer, ranks.world),
        )

    def resume(self) -> int:
        """Load the newest whole checkpoint that fits these ranks; returns the steps already done."""
        for found in self._checkpoints.restored():
            self.engine.load_checkpoint(str(self._checkpoints.scratch), tag=found.tag)
            self._checkpoints.drop(self._checkpoints.scratch / found.tag)
            return found.step
        return 0

    def run(self, start: int, checkpoint_every: int, on_step: OnStep) -> list[float]:
        """Steps `start` up to the last; returns the mean loss over ranks of every step.

        A termination signal (a suspended job, a drained node) ends it with a checkpoint and SystemExit.
        """
        losses = []
        stop = StopSignal()
        for step in range(start, self._optimizer.max_steps):
            loss, stopping = self._step(step, stop.received)
            losses.append(loss)
            on_step(step + 1, loss)
            if step + 1 < self._optimizer.max_steps and (stopping or (step + 1) % checkpoint_every == 0):
                self.save(step + 1)
                if stopping:
                    raise SystemExit(128 + signal.SIGTERM)
        return losses

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
        self.engine.save_checkpoint(str(scratch), tag=tag, save_latest=False)
        self._checkpoints.publish(step, scratch / tag)

    def weights(self) -> dict[str, Any]:
        """The full state dict on rank 0 (elsewhere empty), on CPU. Collective: call it on every rank."""
        return full_weights(self.engine.module, self._ranks, self._checkpoints.zero_stage)
