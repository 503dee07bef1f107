"""`python -m benchmarks.quality`: trains on several seeds and prints every subset and cell; the worst seed counts."""

import argparse
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.quality.runs import Settings, base_model, drawn, scored, trained
from lore_core.evaluation.metrics import accuracy2, accuracy4, macro_f1, rule_flip
from lore_core.evaluation.table import PairTable
from lore_core.jobs import RuleMode
from lore_core.jobs.config import Optimizer
from lore_core.jobs.lora import Lora

_ALL: Final = "all"
# The yardsticks of the generated benchmark: metric, slice, aim.
AIMS: Final = (("Accuracy@2", _ALL, 0.90), ("Macro-F1", _ALL, 0.80), ("rule flip", _ALL, 0.70))
CELL_AIM: Final = 0.80
_SHORT_STEPS: Final = 20
_SHORT_PAIRS: Final = 12
"""A subset."""
_METRICS: Final = {"Accuracy@4": accuracy4, "Accuracy@2": accuracy2, "Macro-F1": macro_f1, "rule flip": rule_flip}

Row = dict[str, float]


def rows(table: PairTable) -> dict[str, Row]:
    """Metrics of the whole, of each subset and of each capability cell."""
    slices: dict[str, Mapping[str, str]] = {_ALL: {}}
    for field in ("subset", "cell"):
        slices |= {f"{field} {value}": {field: value} for value in table.fields[field].values}
    found = {}
    for name, where in slices.items():
        part = table.select(where)
        found[name] = {metric: float(value(part.totals)) for metric, value in _METRICS.items()} | {"pairs": len(part)}
    return found


def worst(seeds: Sequence[dict[str, Row]]) -> dict[str, Row]:
    """The lowest value of every figure over the seeds."""
    return {
        name: {metric: min(seed[name][metric] for seed in seeds) for metric in row} for name, row in seeds[0].items()
    }


def show(title: str, found: dict[str, Row]) -> None:
    """A table of figures."""
    print(f"\n{title}\n{'':28}" + "".join(f"{metric:>12}" for metric in ("pairs", *_METRICS)))
    for name, row in found.items():
        figures = "".join(f"{'-' if math.isnan(row[m]) else f'{row[m]:.3f}':>12}" for m in _METRICS)
        print(f"{name:28}{int(row['pairs']):>12}{figures}")


def missed(found: dict[str, Row]) -> list[str]:
    """Aims that the worst seed does not reach."""
    short = [f"{metric} {found[name][metric]:.3f} < {aim}" for metric, name, aim in AIMS if found[name][metric] < aim]
    cells = ((name, row["Accuracy@2"]) for name, row in found.items() if name.startswith("cell "))
    return short + [f"Accuracy@2 of {name} {value:.3f} < {CELL_AIM}" for name, value in cells if value < CELL_AIM]


def main() -> int:
    """Run all seeds; the exit status tells only whether they ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--steps", type=int, default=4000, help="optimizer steps of the fine-tuning")
    parser.add_argument("--batch", type=int, default=32, help="pairs a step")
    parser.add_argument("--adapters", type=int, default=16, metavar="RANK", help="of what is trained; 0: all weights")
    parser.add_argument("--rule-mode", choices=[str(mode) for mode in RuleMode], default=str(RuleMode.RETRIEVED))
    parser.add_argument("--scale", choices=["demo", "full"], default="full")
    parser.add_argument("--short", action="store_true", help="one seed, few steps and pairs: shows that it runs")
    parser.add_argument("--ranks", type=int, default=os.cpu_count() or 1, help="training processes")
    parser.add_argument("--work", type=Path, help="folder to keep worlds, base and runs in")
    args = parser.parse_args()
    if args.short:
        args.seeds, args.scale, args.steps, args.ranks = args.seeds[:1], "demo", _SHORT_STEPS, 1
    optimizer = Optimizer(max_steps=args.steps, batch_size=args.batch, checkpoint_every=args.steps)
    lora = Lora(rank=args.adapters, alpha=2 * args.adapters) if args.adapters else None
    settings = Settings(args.scale, RuleMode(args.rule_mode), optimizer, args.ranks, lora=lora)
    with tempfile.TemporaryDirectory() as scratch:
        run(args.work or Path(scratch), args.seeds, settings, short=args.short)
    return 0


def run(root: Path, seeds: Sequence[int], settings: Settings, *, short: bool) -> None:
    """All seeds, then the worst figures and the aims they miss."""
    pretraining, limit = (_SHORT_STEPS, _SHORT_PAIRS) if short else (None, None)
    root.mkdir(parents=True, exist_ok=True)
    base, found = None, []
    for seed in seeds:
        world = drawn(root, seed, settings.scale)
        base = base or base_model(root, world, pretraining)
        found.append(rows(scored(trained(root, world, base, seed, settings), world, limit)))
        show(f"seed {seed}", found[-1])
    lowest = worst(found)
    show(f"worst of {len(seeds)} seeds", lowest)
    print("\n" + ("\n".join(f"missed: {line}" for line in missed(lowest)) or "every aim is reached"))


if __name__ == "__main__":
    raise SystemExit(main())
