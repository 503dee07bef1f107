"""`python -m benchmarks.students`: how far a student follows its teacher, and what the teacher adds to gold labels.

The teacher is a model of benchmarks.ablation; the same `--work` finds it there. Two students start from its weights and say
the label at once: one is taught by it and by gold, one by gold alone, on the same pairs in as many steps. Prints every figure
by seed and over all seeds, with paired bounds, and what is missed. The exit status is 1 where a run failed.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from benchmarks.ablation.__main__ import BUDGET, SCALE, SHORT_BUDGET, SHORT_SCALE
from benchmarks.ablation.runs import Bench
from benchmarks.ablation.world import VerbFailed, made
from benchmarks.students.compare import Seed
from benchmarks.students.report import report, write
from benchmarks.students.runs import STUDENTS, TEACHER, Lesson, School, Scores
from lore_core.benchmark.world import Scale

LESSON: Final = Lesson(
    Scale(train=160, tune=10, calibration=10, gate=0), steps=2_000, batch=16, rate="0.001", margin="0.3"
)
"""Some seven minutes of one core for a student, ten at most, the teacher's scores of its pairs included."""
SHORT_LESSON: Final = Lesson(
    Scale(train=2, tune=1, calibration=1, gate=0), steps=4, batch=8, rate="0.001", margin="0.3"
)


def main() -> int:
    """Run all seeds, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.students", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[17, 18, 19])
    add("--parallel", type=int, default=2, help="runs at once, one core each (default %(default)s)")
    add("--work", type=Path, help="folder that keeps what is done; may be that of benchmarks.ablation")
    add("--out", type=Path, help="folder for students.json")
    add("--short", action="store_true", help="one seed, few pairs and steps: whether it runs, not what comes of it")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with nullcontext(args.work) if args.work else tempfile.TemporaryDirectory(prefix="lore-students-") as work:
        Path(work).mkdir(parents=True, exist_ok=True)
        schools = prepared(Path(work), args)
        with ProcessPoolExecutor(args.parallel, multiprocessing.get_context("spawn")) as pool:
            scores = taught(pool, schools)
        whole = {school.seed: seed for school in schools if (seed := seen(school, scores[school.seed]))}
        if whole:
            found = report(whole, schools[0].lesson)
            if args.out:
                write(args.out, found)
    return 0 if len(whole) == len(schools) else 1


def prepared(work: Path, args: argparse.Namespace) -> list[School]:
    """One a seed, its world drawn and its traces synthesised."""
    from hack.basemodel import prepare

    base = Path(prepare("demo")["base"])
    if args.short:
        return [School(Bench(work, base, made(work, args.seeds[0], SHORT_SCALE), SHORT_BUDGET), SHORT_LESSON)]
    return [School(Bench(work, base, made(work, seed, SCALE), BUDGET), LESSON) for seed in args.seeds]


def taught(pool: Executor, schools: Sequence[School]) -> dict[int, dict[str, Scores]]:
    """Every seed's scores by arm: teachers first, since students start from them. What failed is named and left out."""
    scores: dict[int, dict[str, Scores]] = {school.seed: {} for school in schools}
    teachers = [(school, pool.submit(school.teacher)) for school in schools]
    jobs = []
    for school, job in teachers:
        try:
            model = job.result()
        except VerbFailed as error:
            print(f"seed {school.seed}, {TEACHER}: {error}", file=sys.stderr, flush=True)
            continue
        jobs.append((school, TEACHER, pool.submit(school.scores, model)))
        jobs += [(school, arm, pool.submit(school.learned, arm, model)) for arm in STUDENTS]
    for school, arm, scored in jobs:
        try:
            scores[school.seed][arm] = scored.result()
        except VerbFailed as error:
            print(f"seed {school.seed}, {arm}: {error}", file=sys.stderr, flush=True)
            continue
        print(f"seed {school.seed}, {arm}: done", flush=True)
    return scores


def seen(school: School, scores: dict[str, Scores]) -> Seed | None:
    """All that is known of a seed; None where an arm failed."""
    if scores.keys() != {TEACHER, *STUDENTS}:
        return None
    return Seed(school.bench.gate(), school.strata(), scores)


if __name__ == "__main__":
    raise SystemExit(main())
