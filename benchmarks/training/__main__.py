"""`python -m benchmarks.training`: pairs a second of fine-tuning, ours beside TRL's SFTTrainer, at equal pairs a step.

First every contender tells its loss of the same pairs with the same weights; where those differ by more than 1e-5 nothing is
timed. Then all take turns, several times over. The exit status is 1 below half of the aims: twice TRL's defaults, 1.3 times
the fastest TRL configuration, both where prompts share at least 60 % of their tokens.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.training import world
from benchmarks.training.contenders import TRL, Contender, ours, settings, stage, trl
from lore_core.training.base import BaseSettings

SAME_LOSS: Final = 1e-5
AIMS: Final = {"TRL defaults": 2.0, "the fastest TRL": 1.3}
SHARED, PLAIN = "ours, shared prefixes", "ours, nothing shared"
Times = dict[str, list[float]]


def main() -> int:
    """Both arms; 1 where the shared one is below half of an aim, 2 where losses differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--batch", type=int, default=32, help="pairs a step")
    parser.add_argument("--steps", type=int, default=6, help="steps a turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--peak-tflops", type=float, help="of the GPU, to tell which share of it is used")
    args = parser.parse_args()
    shape = BaseSettings(layers=args.layers, width=args.width, heads=args.width // 32, feed_forward=3 * args.width)
    _one_rank()
    with tempfile.TemporaryDirectory() as scratch:
        times = [arm(Path(scratch) / name, args, shape, shared=name == "shared") for name in ("shared", "apart")]
    if not all(times):
        return 2
    return 0 if reached(times[0], args.batch) else 1


def arm(root: Path, args: argparse.Namespace, shape: BaseSettings, *, shared: bool) -> Times:
    """One set of pairs: losses, then seconds a step of every turn; empty where losses differ."""
    from lore_core.training.sft import load_causal

    base = root / "base"
    base.mkdir(parents=True)
    encoder = world.base(base, shape)
    pairs = world.pairs(args.batch * 8, shared=shared)
    plain, packed = (settings(args.batch, args.steps, share=share) for share in (False, True))
    drawn = stage(base, pairs, plain)
    examples = [drawn.examples[row] for row in range(len(pairs))]
    contenders = [
        ours(SHARED, base, pairs, packed, root / "shared"),
        ours(PLAIN, base, pairs, plain, root / "plain"),
        *(
            trl(name, told, load_causal(base, encoder.size), examples, args.batch, root / f"trl{number}")
            for number, (name, told) in enumerate(TRL.items())
        ),
    ]
    tokens = sum(len(one.token_ids) for one in examples) / len(examples)
    print(f"\n{world.prefix_share(pairs, examples):.0%} of the prompts' tokens shared, {tokens:.0f} tokens a pair")
    if not equal_losses(contenders, range(args.batch)):
        return {}
    times = turns(contenders, args.steps, args.repeats)
    show(times, args.batch)
    use(drawn.model, tokens, args.batch, times[SHARED], args.peak_tflops)
    return times


def equal_losses(contenders: Sequence[Contender], rows: Sequence[int]) -> bool:
    """Print each contender's loss of these pairs before its first step; whether they are the same."""
    losses = {one.name: one.loss(rows) for one in contenders}
    print("".join(f"{name:26}loss {loss:.6f}\n" for name, loss in losses.items()), end="")
    spread = max(losses.values()) - min(losses.values())
    if spread > SAME_LOSS:
        print(f"losses differ by {spread:.2e}: they do not learn the same, so nothing is timed", file=sys.stderr)
    return spread <= SAME_LOSS


def turns(contenders: Sequence[Contender], steps: int, repeats: int) -> Times:
    """Seconds a step; all take turns, after one turn each that does not count."""
    for one in contenders:
        one.run(steps)
    times: Times = {one.name: [] for one in contenders}
    for _ in range(repeats):
        for one in contenders:
            times[one.name].append(one.run(steps))
    return times


def show(times: Times, batch: int) -> None:
    """Pairs a second: median and range."""
    for name, found in times.items():
        low, middle, high = (batch / value for value in (max(found), statistics.median(found), min(found)))
        print(f"{name:26}{middle:8.0f} pairs/s  [{low:.0f}, {high:.0f}]")


def ratios(times: Times) -> dict[str, float]:
    """How many times as fast as each rival we are, by medians."""
    middle = {name: statistics.median(found) for name, found in times.items()}
    rivals = [middle[name] for name in TRL]
    return dict(zip(AIMS, (rivals[0] / middle[SHARED], min(rivals) / middle[SHARED]), strict=True))


def reached(times: Times, batch: int) -> bool:
    """Print the aims with what was reached; False below half of one."""
    found = ratios(times)
    print(f"\nwith {batch} pairs a step, shared prefixes:")
    for rival, aim in AIMS.items():
        print(f"{found[rival]:.2f} times {rival} (aim {aim})")
    return all(found[rival] >= aim / 2 for rival, aim in AIMS.items())


def use(model: object, tokens: float, batch: int, seconds: Sequence[float], peak_tflops: float | None) -> None:
    """Peak memory, and on a GPU of known peak the share of it that useful tokens take (6 operations a weight and token)."""
    import torch

    if not torch.cuda.is_available():
        print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
        return
    print(f"peak GPU memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB, {torch.cuda.get_device_name()}")
    if peak_tflops:
        weights = sum(one.numel() for one in model.parameters())  # type: ignore[attr-defined]
        flops = 6 * weights * tokens * batch / statistics.median(seconds)
        print(f"MFU {flops / (peak_tflops * 1e12):.1%} of {peak_tflops} TFLOP/s, counting shared tokens once a pair")


def _one_rank() -> None:
    """This process is the only rank of its group; TRL is told before that it has no group, or it would wrap models in DDP."""
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    from lore_core.training.engine import connect

    connect()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # the teardown of a process group sometimes aborts, or takes its time
