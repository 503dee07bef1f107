"""The DeepSpeed engine of one rank, its loop and its checkpoints: the only module that knows DeepSpeed."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lore_core.artifacts import ArtifactRef
from lore_core.jobs.config import DeepSpeedConfig, Optimizer
from lore_core.jobs.errors import JobError
from lore_core.training import checkpoints
from lore_core.training.schedule import Order, learning_rate, step_seed

OnStep = Callable[[int, float], None]


class Stage(Protocol):
    """What a stage brings to the loop: a model, a number of examples, and the loss of some of them."""

    model: Any

    def __len__(self) -> int:
        """Number of training examples."""

    def loss(self, engine: Any, indices: list[int]) -> Any:
        """Mean loss (a scalar tensor) of the examples at `indices`."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among all: global rank, number of ranks, rank within the node."""

    rank: int
    world: int
    local: int

    @classmethod
    def from_environment(cls) -> "Ranks":
        """As torchrun sets it."""
        return cls(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"]))


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
    """DeepSpeed's own config. Every value is explicit; AdamW is torch's, so that no optimizer kernel is built."""
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

        self._stage, self._ranks, self._optimizer, self._zero = stage, ranks, optimizer, config.zero_stage
        self._where, self._scratch = where, scratch
        self._order = order or Order.plain(len(stage), optimizer)
        self.engine, *_ = deepspeed.initialize(
            model=stage.model,
            model_parameters=[p for p in stage.model.parameters() if p.requires_grad],
            config=deepspeed_config(config, optimizer, ranks.world),
        )

    def resume(self) -> int:
        """Load the newest whole checkpoint that fits these ranks; returns the steps already done."""
        import torch.distributed as dist

        for found in self._candidates():
            good = checkpoints.restore(self._where, found, self._scratch) if self._ranks.local == 0 else True
            votes: list[Any] = [None] * self._ranks.world
            dist.all_gather_object(votes, good)
            if all(votes):
                self.engine.load_checkpoint(str(self._scratch), tag=found.tag)
                self._drop(found.tag)
                return found.step
        return 0

    def _candidates(self) -> list[checkpoints.Checkpoint]:
        import torch.distributed as dist

        shared: list[Any] = [checkpoints.complete_checkpoints(self._where) if self._ranks.rank == 0 else None]
        dist.broadcast_object_list(shared, src=0)
        fitting = [c for c in shared[0] if (c.world_size, c.zero_stage) == (self._ranks.world, self._zero)]
        if self._ranks.rank == 0 and len(fitting) < len(shared[0]):
            print("checkpoints of another number of ranks or ZeRO stage are passed over")
        return fitting

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
        import torch.distributed as dist

        tag = f"step{step}"
        self.engine.save_checkpoint(str(self._scratch), tag=tag, save_latest=False)
        dist.barrier()
        mine = checkpoints.upload_part(self._where, tag, self._scratch / tag) if self._ranks.local == 0 else []
        parts: list[Any] = [None] * self._ranks.world
        dist.all_gather_object(parts, mine)
        if self._ranks.rank == 0:
            checkpoints.mark_complete(self._where, step, self._ranks.world, self._zero, parts)
        self._drop(tag)

    def _drop(self, tag: str) -> None:
        import torch.distributed as dist

        dist.barrier()
        if self._ranks.local == 0:
            checkpoints.forget_local(self._scratch / tag)

    def weights(self) -> dict[str, Any]:
        """The full state dict on rank 0 (elsewhere empty), on CPU. Collective: call it on every rank."""
        import deepspeed

        module = self.engine.module
        with deepspeed.zero.GatheredParameters(list(module.parameters()), enabled=self._zero == 3):
            if self._ranks.rank != 0:
                return {}
            return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
