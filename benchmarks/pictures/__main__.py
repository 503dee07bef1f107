"""`python -m benchmarks.pictures`: four arms with one start and equal steps, shown different things of an item's picture.

A text base gets a vision tower that learns the words of the training pictures; from there each arm is fine-tuned think-first
with `lore train` on pairs that need the picture and pairs that have none, and scored on queries of other combinations.
`--short` runs every step once on an untrained base: it shows that all of it works, and no figure of it means anything.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.pictures.arms import Arm
from benchmarks.pictures.compare import missed, scores, summary, table, tabled
from benchmarks.pictures.reading import read_words
from benchmarks.pictures.runs import Answers, Size, answers, seeing_base, trained
from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.world import Scale, World
from lore_core.jobs.config import Optimizer

_SHORT = Scale(train=2, tune=1, calibration=0, gate=2)
_WHOLE = Scale(train=320, tune=4, calibration=0, gate=16)


def main() -> int:
    """Run all seeds; the exit status tells only whether they ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--lesson", type=int, default=2400, help="steps in which the tower learns words of pictures")
    parser.add_argument("--steps", type=int, default=2000, help="steps of each arm's fine-tuning")
    parser.add_argument("--batch", type=int, default=16, help="pairs a step")
    parser.add_argument("--ranks", type=int, default=1, help="training processes")
    parser.add_argument("--short", action="store_true", help="one seed, a few pairs and steps, an untrained base")
    parser.add_argument("--work", type=Path, help="folder to keep bases and runs in")
    args = parser.parse_args()
    if args.short:
        args.seeds, args.lesson, args.steps, args.batch = args.seeds[:1], 2, 2, 4
    optimizer = Optimizer(max_steps=args.steps, batch_size=args.batch, checkpoint_every=max(1, args.steps // 5))
    size = Size(_SHORT if args.short else _WHOLE, args.lesson, optimizer, args.ranks)
    with tempfile.TemporaryDirectory() as scratch:
        root = args.work or Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        text = untrained(root / "text") if args.short else pretrained()
        base = seeing_base(root, text, World(args.seeds[0], size.blocks), size.lesson)
        words = read_words(base, World(args.seeds[0], size.blocks))
        said = "  ".join(f"{name}: {share:.3f}" for name, share in words.items())
        print(f"words read from the gate split's pictures  {said}", flush=True)
        found = {}
        for seed in args.seeds:
            found[seed] = run(root, base, World(seed, size.blocks), size)
            report({seed: found[seed]})
        if len(found) > 1:
            report(found)
    return 0


def run(root: Path, base: Path, world: World, size: Size) -> dict[Arm, Answers]:
    """One seed: train and score every arm."""
    found = {}
    for arm in Arm:
        done = trained(root, base, world, arm, size)
        steps = "  ".join(f"{step}: {value:.3f}" for step, value in done.curve)
        print(f"seed {world.seed}, {arm}: Accuracy@2 on the tune split by step  {steps}", flush=True)
        found[arm] = answers(done.folder, world, arm)
        said = summary(tabled({world.seed: found[arm]}))
        print(f"seed {world.seed}, {arm}: on the gate split  {said}", flush=True)
    return found


def report(seeds: Mapping[int, Mapping[Arm, Answers]]) -> None:
    """Print the arms side by side, the queries of all these seeds together."""
    found = scores({arm: tabled({seed: arms[arm] for seed, arms in seeds.items()}) for arm in Arm})
    print(f"\n{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}{table(found)}\n")
    print("\n".join(f"missed: {line}" for line in missed(found)) or "every yardstick is reached", flush=True)


def pretrained() -> Path:
    """The text base that `make setup` has pretrained; made now where it is missing."""
    from hack.basemodel import prepare

    return Path(prepare("demo")["base"])


def untrained(folder: Path) -> Path:
    """A text base of the same words with weights drawn at random."""
    import torch

    from lore_core.artifacts import ArtifactRef, publish
    from lore_core.training.base import BaseSettings, small_model, write_tokenizer

    source = folder.with_name("text-files")
    source.mkdir()
    torch.manual_seed(1)
    settings = BaseSettings(layers=1, width=64, heads=2, feed_forward=64)
    small_model(settings, write_tokenizer(vocabulary(), source)).save_pretrained(str(source))
    publish(source, ArtifactRef(uri=folder.absolute().as_uri()), "base-model")
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
