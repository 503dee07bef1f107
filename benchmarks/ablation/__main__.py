"""`python -m benchmarks.ablation`: what knowledge, visual, rules and alignment each add, at equal pairs and trained tokens.

Trains the arms of each seed on one rank each, several at once, and prints every arm by capability cell, every contrast with
its paired interval over all seeds, and what is required. With `--work` whatever is done is kept, so that seeds may be run in
several calls: arms are found again by the content of what they were made from.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.ablation.arms import CONTRASTS, RULES, SFT, TUNED, Contrast
from benchmarks.ablation.compare import (
    ACCURACY,
    METRICS,
    ROWS,
    Difference,
    contrasted,
    figures,
    points,
    pooled,
    verdicts,
)
from benchmarks.ablation.runs import Bench, Budget, Outcome, Task
from benchmarks.ablation.world import made
from lore_core.benchmark.world import Scale
from lore_core.chart import Axis, Bar, as_file, interval_chart

SCALE: Final = Scale(train=160, tune=10, calibration=1, gate=60)
BUDGET: Final = Budget(steps=2400, batch=8, extra=40, prompts=8, candidates=512)
SHORT_SCALE: Final = Scale(train=4, tune=1, calibration=1, gate=1)
SHORT_BUDGET: Final = Budget(steps=40, batch=16, extra=2, prompts=2, candidates=32)
TOLERANCE: Final = 0.01
"""By how much the trained tokens of two fine-tuned arms may differ."""
_NAME: Final = 26
_CELL: Final = 22

Report = dict[str, Any]


def main() -> int:
    """Run all seeds; the exit status tells only whether they ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[17, 18, 19])
    add("--steps", type=int, default=BUDGET.steps, help="steps of the arm with all capabilities (default %(default)s)")
    add("--parallel", type=int, default=2, help="runs at once, one core each (default %(default)s)")
    add("--work", type=Path, help="folder that keeps what is done; a later call goes on from it")
    add("--out", type=Path, help="folder for ablation.json and a plot of it")
    add("--short", action="store_true", help="one seed, few pairs, four arms: whether it runs, not what comes of it")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    work = args.work or Path(tempfile.mkdtemp(prefix="lore-ablation-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        found = report(*ran(benches(work, args), args.parallel, short=args.short))
    finally:
        if args.work is None:
            shutil.rmtree(work)
    if args.out:
        write(args.out, found)
    return 0


def benches(work: Path, args: argparse.Namespace) -> list[Bench]:
    """One a seed, its world drawn and its traces synthesised."""
    from hack.basemodel import prepare

    base = Path(prepare("demo")["base"])
    if args.short:
        return [Bench(work, base, made(work, args.seeds[0], SHORT_SCALE), SHORT_BUDGET)]
    budget = Budget(**{**asdict(BUDGET), "steps": args.steps})
    return [Bench(work, base, made(work, seed, SCALE), budget) for seed in args.seeds]


def ran(seeds: Sequence[Bench], parallel: int, *, short: bool) -> tuple[list[Bench], list[Outcome]]:
    """The outcomes of all arms of all seeds, the fine-tuned ones first: the others go on from one of them."""
    tuned = [(bench, task) for bench in seeds for task in bench.tuned((SFT, RULES) if short else TUNED)]
    with ProcessPoolExecutor(parallel, multiprocessing.get_context("spawn")) as pool:
        outcomes = [*worked(pool, tuned)]
        full = [(bench, task) for bench, task in tuned if task.arm == RULES.name]
        outcomes += worked(pool, [(bench, task) for bench, start in full for task in bench.continued(start)])
    return list(seeds), outcomes


def worked(pool: Executor, tasks: Sequence[tuple[Bench, Task]]) -> Iterator[Outcome]:
    """Outcomes as they are asked for, in the tasks' order."""
    for job in [pool.submit(bench.outcome, task) for bench, task in tasks]:
        done = job.result()
        print(f"seed {done.seed}: {done.arm}", flush=True)
        yield done


def report(seeds: Sequence[Bench], outcomes: Sequence[Outcome]) -> Report:
    """Print everything; the same as values."""
    gates = {bench.site.seed: bench.gate() for bench in seeds}
    arms = {name: [one for one in outcomes if one.arm == name] for name in dict.fromkeys(one.arm for one in outcomes)}
    tables = {name: pooled(gates, found) for name, found in arms.items()}
    by_arm = {name: figures(table) for name, table in tables.items()}
    found = contrasted(tables)
    print(f"\n{len(seeds)} seed{'s' * (len(seeds) > 1)}: {', '.join(str(bench.site.seed) for bench in seeds)}")
    show_budgets(arms)
    for metric in METRICS:
        show_arms(metric, by_arm)
        show_differences(metric, found)
    judged = [one for contrast, rows in found.items() for one in verdicts(contrast, rows)]
    print("\nwhat is required (Accuracy2, points, one-sided 95 % bounds)")
    for one in judged:
        print(f"{'reached' if one.reached else 'MISSED ':9}{one.contrast}: {one.requirement}")
    return {
        "seeds": [bench.site.seed for bench in seeds],
        "budget": asdict(seeds[0].budget),
        "arms": {name: {"runs": budgets(arms[name]), "cells": by_arm[name]} for name in arms},
        "contrasts": [
            {"name": contrast.name, "arm": contrast.arm, "against": contrast.against, "cells": [*map(asdict, rows)]}
            for contrast, rows in found.items()
        ],
        "verdicts": [asdict(one) for one in judged],
    }


def budgets(runs: Iterable[Outcome]) -> list[Report]:
    """What each run of an arm took."""
    return [{name: value for name, value in vars(run).items() if name not in ("answers", "arm")} for run in runs]


def show_budgets(arms: Mapping[str, Sequence[Outcome]]) -> None:
    """Pairs, steps and trained tokens of each arm, seed by seed, and whether the fine-tuned arms had equal budgets."""
    print(f"{'':{_NAME}}{'pairs':>14}{'steps':>14}{'trained tokens':>26}")
    for name, runs in arms.items():
        cells = [_listed(run.pairs for run in runs), _listed(run.steps for run in runs)]
        tokens = _listed(run.trained_tokens for run in runs if run.trained_tokens is not None)
        print(f"{name:{_NAME}}{cells[0]:>14}{cells[1]:>14}{tokens or 'its own answers':>26}")
    apart = spread(arms)
    print(f"trained tokens of the arms from the base differ by at most {apart:.2%} (bound {TOLERANCE:.0%})")
    if apart > TOLERANCE:
        raise SystemExit("the arms had no equal budgets; nothing is compared")


def spread(arms: Mapping[str, Sequence[Outcome]]) -> float:
    """The largest difference within a seed between two arms from the base, as a share of the smaller."""
    names = [arm.name for arm in TUNED if arm.name in arms]
    by_seed = zip(*([run.trained_tokens or 0 for run in arms[name]] for name in names), strict=True)
    return max(max(tokens) / min(tokens) - 1 for tokens in by_seed)


def _listed(values: Iterable[int]) -> str:
    found = list(dict.fromkeys(values))
    return " ".join(f"{value:,}" for value in found)


def show_arms(metric: str, by_arm: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """A metric of every arm in every cell."""
    first = next(iter(by_arm.values()))
    print(f"\n{metric:{_NAME}}" + "".join(f"{name:>11}" for name in ROWS))
    print(f"{'pairs':{_NAME}}" + "".join(f"{int(first[name]['pairs']):>11,}" for name in ROWS))
    for arm, cells in by_arm.items():
        print(f"{arm:{_NAME}}" + "".join(f"{cells[name][metric]:>11.3f}" for name in ROWS))


def show_differences(metric: str, found: Mapping[Contrast, Sequence[Difference]]) -> None:
    """A metric's paired differences in points with their bounds; an arm's own cell is marked."""
    print(f"\n{metric}, points" + " " * (_NAME - len(metric) - 8) + "".join(f"{name:>{_CELL}}" for name in ROWS))
    for contrast, rows in found.items():
        cells = [f"{'*' * (one.cell == contrast.own)}{points(one)}" for one in rows if one.metric == metric]
        print(f"{contrast.name[:_NAME]:{_NAME}}" + "".join(f"{text:>{_CELL}}" for text in cells))


def write(folder: Path, found: Report) -> None:
    """The report as JSON, and the own cells' differences as a plot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ablation.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "ablation.svg").write_text(as_file(plot(found)), encoding="utf-8")


def plot(found: Report) -> str:
    """A row a contrast: its difference in its own cell (over all pairs where it has none), with its bounds."""
    own = {contrast.name: contrast.own or "all" for contrast in CONTRASTS}
    bars = [
        Bar(f"{row['name']}: {cell['cell']}", 100 * cell["value"], 100 * cell["low"], 100 * cell["high"])
        for row in found["contrasts"]
        for cell in row["cells"]
        if cell["metric"] == ACCURACY and cell["cell"] == own[row["name"]]
    ]
    most = max((bar.high or 0.0 for bar in bars), default=0.0)
    return interval_chart("Accuracy@2 by what an arm adds", bars, Axis("points", -10, 10 * -(-most // 10)))


if __name__ == "__main__":
    raise SystemExit(main())
