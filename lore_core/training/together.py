"""What all ranks of a stage do together: exchange objects, save and restore whole checkpoints, gather weights.

Every function is collective: call it on every rank, in the same order.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lore_core.artifacts import ArtifactRef, WorkspaceFull, open_store
from lore_core.training import checkpoints
from lore_core.training.checkpoints import Checkpoint
from lore_core.training.reshard import can_reshard, make_universal


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


def gathered(mine: Any, ranks: Ranks) -> list[Any]:
    """Every rank's object, by rank."""
    import torch.distributed as dist

    if ranks.world == 1:
        return [mine]
    found: list[Any] = [None] * ranks.world
    dist.all_gather_object(found, mine)
    return found


@dataclass(frozen=True, slots=True)
class SharedCheckpoints:
    """The checkpoints of one stage. `scratch` is a local folder that all ranks of the node share.

    `keep` of the newest stay in the store, and the best one where they have scores. `reshards`: one of another number of
    ranks is made one that DeepSpeed can load here.
    """

    where: ArtifactRef
    scratch: Path
    ranks: Ranks
    zero_stage: int
    keep: int = 2
    reshards: bool = False

    def restored(self) -> Iterator[Checkpoint]:
        """Whole checkpoints of use here, newest first, each fetched to `scratch`/tag; damaged ones are passed over."""
        return (found for found in self.usable() if self.fetched(found))

    def fetched(self, found: Checkpoint) -> bool:
        """Whether it lies in `scratch`/tag of every node now, whole and in a form that these ranks can load."""
        return all(gathered(self._fetch(found) if self.ranks.local == 0 else True, self.ranks))

    def _fetch(self, found: Checkpoint) -> bool:
        whole = checkpoints.restore(self.where, found, self.scratch)
        if whole and not self.fits(found):
            make_universal(self.scratch / found.tag)
        return whole

    def fits(self, found: Checkpoint) -> bool:
        """Whether it is loaded as it was saved; ZeRO's parts are one a rank."""
        return (found.world_size, found.zero_stage) == (self.ranks.world, self.zero_stage)

    def publish(self, step: int, folder: Path, score: float | None = None) -> None:
        """Upload what every rank has written to `folder`, and only then mark the checkpoint complete.

        Raises WorkspaceFull on every rank, before anything is uploaded, where there is no room for it.
        """
        ranks = self.ranks
        _barrier()
        self._require_room(folder)
        mine = checkpoints.upload_part(self.where, f"step{step}", folder) if ranks.local == 0 else []
        parts = gathered(mine, ranks)
        if ranks.rank == 0:
            made, manifest = checkpoints.described(step, ranks.world, self.zero_stage, parts, score)
            checkpoints.mark_complete(self.where, made, manifest, self.keep)
        self.drop(folder)

    def _require_room(self, folder: Path) -> None:
        sizes = gathered(checkpoints.local_size(folder) if self.ranks.local == 0 else 0, self.ranks)
        refusal = ""
        if self.ranks.rank == 0:
            try:
                open_store(self.where).require_room(sum(sizes))
            except WorkspaceFull as error:
                refusal = str(error)
        if refusal := gathered(refusal, self.ranks)[0]:
            raise WorkspaceFull(refusal)

    def drop(self, folder: Path) -> None:
        """Remove a local copy once no rank needs it."""
        _barrier()
        if self.ranks.local == 0:
            checkpoints.forget_local(folder)

    def usable(self) -> list[Checkpoint]:
        """Whole checkpoints that fit these ranks, or can be made to, newest first."""
        known = checkpoints.complete_checkpoints(self.where) if self.ranks.rank == 0 else ()
        whole = gathered(known, self.ranks)[0]
        usable = [
            found for found in whole if self.fits(found) or (self.reshards and can_reshard(found, self.zero_stage))
        ]
        if self.ranks.rank == 0 and len(usable) < len(whole):
            print("checkpoints of another number of ranks or ZeRO stage are passed over")
        return usable


def full_weights(module: Any, ranks: Ranks, zero_stage: int) -> dict[str, Any]:
    """The full state dict on rank 0 (elsewhere empty), on CPU."""
    with module_for_reading(module, zero_stage):
        if ranks.rank != 0:
            return {}
        return copied(module.state_dict())


def copied(weights: Mapping[str, Any]) -> dict[str, Any]:
    """A copy on CPU. Names that share one tensor, as tied embeddings do, share one copy, so that it is saved once."""
    copies: dict[tuple[int, Any], Any] = {}
    for value in weights.values():
        copies.setdefault((value.data_ptr(), value.shape), value.detach().cpu().clone())
    return {name: copies[value.data_ptr(), value.shape] for name, value in weights.items()}


@contextmanager
def module_for_reading(module: Any, zero_stage: int) -> Iterator[Any]:
    """The module with all of its weights on every rank while the block runs."""
    import deepspeed

    with deepspeed.zero.GatheredParameters(list(module.parameters()), enabled=zero_stage == 3):
        yield module


def _barrier() -> None:
    import torch.distributed as dist

    dist.barrier()
