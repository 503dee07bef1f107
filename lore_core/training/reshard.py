"""A checkpoint of another number of ranks, made one that any number can load: DeepSpeed's universal checkpoint.

ZeRO keeps a part of the optimizer's state a rank. The universal form has a file a parameter and state instead.
"""

import shutil
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lore_core.training.checkpoints import Checkpoint

_WEIGHTS_ARE_PARTED: Final = 3


def can_reshard(found: Checkpoint, zero_stage: int) -> bool:
    """Whether it becomes one for ranks of that ZeRO stage; weights that are parted (stage 3) stay so."""
    parted = _WEIGHTS_ARE_PARTED
    return min(found.zero_stage, zero_stage) > 0 and (found.zero_stage == parted) == (zero_stage == parted)


def make_universal(folder: Path) -> None:
    """Convert the checkpoint in `folder` in its place. Call it once a node."""
    from deepspeed.checkpoint import ds_to_universal

    converted = folder.with_name(f"{folder.name}-universal")
    shutil.rmtree(converted, ignore_errors=True)
    ds_to_universal.main(
        Namespace(
            input_folder=str(folder),
            output_folder=str(converted),
            num_extract_workers=1,
            num_merge_workers=1,
            keep_temp_folder=False,
            strict=True,
            inject_missing_state=True,
        )
    )
    shutil.rmtree(folder)
    converted.rename(folder)


@contextmanager
def loading_universal(engine: Any, wanted: bool) -> Iterator[None]:
    """The engine reads the universal form while the block runs. It reads its own otherwise, and always writes that."""
    before = engine.load_universal_checkpoint()
    engine._config.load_universal_checkpoint = wanted
    try:
        yield
    finally:
        engine._config.load_universal_checkpoint = before
