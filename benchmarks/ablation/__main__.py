"""`python -m benchmarks.ablation`: what knowledge, visual, rules and alignment each add, at equal pairs and trained tokens.

Trains the arms of each seed on one rank each, several at once, and prints every arm by capability cell, every contrast with
its paired interval over all seeds, and what is required. With `--work` whatever is done is kept, so that seeds may be run in
several calls: arms are found again by the content of what they were made from. The exit status is 1 where a run failed.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.ablation.arms import ALIGNED, LONGER, RULES, SFT, TUNED, Tuned
from benchmarks.ablation.report import report, write
from benchmarks.ablation.runs import Bench, Budget, Outcome, Task
from benchmarks.ablation.world import VerbFailed, made
from lore_core.benchmark.world import Scale

SCALE: Final = Scale(train=160, tune=10, calibration=1, gate=60)
BUDGET: Final = Budget(steps=2400, batch=8, extra=40, prompts=8, candidates=4_096)
Arms = tuple[Sequence[Tuned], Sequence[str]]
"""From the base, and from the arm with all capabilities."""
ARMS: Final[Arms] = (TUNED, (ALIGNED, LONGER))
SHORT_SCALE: Final = Scale(train=4, tune=1, calibration=1, gate=1)
SHORT_BUDGET: Final = Budget(steps=40, batch=8, extra=2, prompts=2, candidates=32)
SHORT_ARMS: Final[Arms] = ((SFT, RULES), (ALIGNED,))


def main() -> int:
    """Run all seeds, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[17, 18, 19])
    add("--steps", type=int, default=BUDGET.steps, help="steps of the arm with all capabilities (default %(default)s)")
    add("--parallel", type=int, default=2, help="runs at once, one core each (default %(default)s)")
    add("--work", type=Path, help="folder that keeps what is done; a later call goes on from it")
    add("--out", type=Path, help="folder for ablation.json and a plot of it")
    add("--short", action="store_true", help="one seed, few pairs, three arms: whether it runs, not what comes of it")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with nullcontext(args.work) if args.work else tempfile.TemporaryDirectory(prefix="lore-ablation-") as work:
        Path(work).mkdir(parents=True, exist_ok=True)
        benches = prepared(Path(work), args)
        arms = SHORT_ARMS if args.short else ARMS
        outcomes = list(ran(benches, arms, args.parallel))
        found = report(benches, outcomes)
    if args.out:
        write(args.out, found)
    return 0 if len(outcomes) == len(benches) * sum(map(len, arms)) else 1


def prepared(work: Path, args: argparse.Namespace) -> list[Bench]:
    """One a seed, its world drawn and its traces synthesised."""
    from hack.basemodel import prepare

    base = Path(prepare("demo")["base"])
    if args.short:
        return [Bench(work, base, made(work, args.seeds[0], SHORT_SCALE), SHORT_BUDGET)]
    budget = replace(BUDGET, steps=args.steps)
    return [Bench(work, base, made(work, seed, SCALE), budget) for seed in args.seeds]


def ran(benches: Sequence[Bench], arms: Arms, parallel: int) -> Iterator[Outcome]:
    """The outcomes of all arms of all seeds, those from the base first: the others go on from one of them."""
    tuned = [(bench, task) for bench in benches for task in bench.tuned(arms[0])]
    with ProcessPoolExecutor(parallel, multiprocessing.get_context("spawn")) as pool:
        yield from worked(pool, tuned)
        full = [(bench, task) for bench, task in tuned if task.arm == RULES.name and bench.done(task)]
        yield from worked(pool, [(bench, bench.continued(start, name)) for bench, start in full for name in arms[1]])


def worked(pool: Executor, tasks: Sequence[tuple[Bench, Task]]) -> Iterator[Outcome]:
    """Outcomes in the tasks' order; a run that failed is named and left out, and the others go on."""
    jobs = [(bench, task, pool.submit(bench.outcome, task)) for bench, task in tasks]
    for bench, task, job in jobs:
        try:
            done = job.result()
        except VerbFailed as error:
            print(f"seed {bench.site.seed}, {task.arm}: {error}", file=sys.stderr, flush=True)
            continue
        print(f"seed {done.seed}, {done.arm}: done", flush=True)
        yield done


if __name__ == "__main__":
    raise SystemExit(main())
