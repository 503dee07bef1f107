"""Builds the C++ extension that DeepSpeed compiles at its first start, so that a pod finds it ready.

Run once, under torchrun, while the image is built. The compiler tunes for the machine it runs on, so the CPU's feature list is
kept beside the result: a pod on another CPU compiles its own.
"""

import os
import re
from pathlib import Path

import deepspeed
import torch


def main() -> None:
    """One optimizer step of ZeRO stage 2 on two ranks."""
    deepspeed.init_distributed(dist_backend="gloo")
    model = torch.nn.Linear(8, 8)
    config = {"train_batch_size": 2, "zero_optimization": {"stage": 2}, "zero_allow_untested_optimizer": True}
    engine, *_ = deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(model.parameters()), config=config)
    engine.backward(engine(torch.ones(1, 8)).sum())
    engine.step()
    if engine.global_rank == 0:
        flags = re.search(r"(?m)^flags\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text())
        features = " ".join(sorted(flags[1].split())) if flags else ""
        (Path(os.environ["TORCH_EXTENSIONS_DIR"]) / "cpu-features").write_text(features + "\n")
    torch.distributed.barrier()
    os._exit(0)  # gloo's threads may abort an ordinary exit


if __name__ == "__main__":
    main()
