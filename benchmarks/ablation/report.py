"""What came of it, printed as tables, as JSON and as a plot."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.ablation.arms import CONTRASTS, TUNED, Contrast
from benchmarks.ablation.compare import (
    ACCURACY,
    ALL,
    METRICS,
    ROWS,
    Difference,
    contrasted,
    figures,
    points,
    tabled,
    verdicts,
)
from benchmarks.ablation.runs import SAMPLED, Bench, Outcome
from lore_core.chart import Axis, Bar, as_file, interval_chart

TOLERANCE: Final = 0.01
"""By how much the trained tokens of two arms from the base may differ."""
_NAME: Final = 42
_CELL: Final = 23

Report = dict[str, Any]
Arms = Mapping[str, Sequence[Outcome]]


def whole_arms(outcomes: Iterable[Outcome], seeds: int) -> dict[str, list[Outcome]]:
    """Outcomes by arm; an arm that failed on a seed is left out, since it could not be pooled with the others."""
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        found.setdefault(one.arm, []).append(one)
    return {name: runs for name, runs in found.items() if len(runs) == seeds}


def report(benches: Sequence[Bench], outcomes: Iterable[Outcome]) -> Report:
    """Print everything; the same as values."""
    gates, arms = {bench.site.seed: bench.gate() for bench in benches}, whole_arms(outcomes, len(benches))
    tables = {name: tabled(gates, runs) for name, runs in arms.items()}
    by_arm = {name: figures(table) for name, table in tables.items()}
    found = contrasted(tables)
    print(f"\nseeds: {', '.join(map(str, gates))}")
    show_budgets(arms)
    for metric in METRICS:
        show_arms(metric, by_arm)
        show_differences(metric, found)
    show_passes(arms)
    judged = [one for contrast, rows in found.items() for one in verdicts(contrast, rows)]
    print("\nrequired, in points of Accuracy2")
    for one in judged:
        print(f"{'reached' if one.reached else 'MISSED':9}{one.contrast}: {one.requirement}")
    return {
        "seeds": [*gates],
        "budget": asdict(benches[0].budget),
        "arms": {name: {"runs": _budgets(arms[name]), "cells": by_arm[name]} for name in arms},
        "contrasts": [
            {"name": contrast.name, "arm": contrast.arm, "against": contrast.against, "cells": [*map(asdict, rows)]}
            for contrast, rows in found.items()
        ],
        "verdicts": [asdict(one) for one in judged],
    }


def _budgets(runs: Iterable[Outcome]) -> list[Report]:
    return [
        {
            "seed": run.seed,
            "pairs": run.pairs,
            "steps": run.steps,
            "trainedTokens": run.trained_tokens,
            "passes": run.passes,
        }
        for run in runs
    ]


def show_budgets(arms: Arms) -> None:
    """Pairs, steps and trained tokens of each arm, seed by seed. ValueError where the arms from the base spent unequally."""
    for name, runs in arms.items():
        print(f"{name:{_NAME}}" + "; ".join(map(_spent, runs)))
    apart = spread(arms)
    print(f"trained tokens of the arms from the base differ by at most {apart:.2%} (bound {TOLERANCE:.0%})")
    if apart > TOLERANCE:
        raise ValueError(f"trained tokens differ by {apart:.2%}: the arms had no equal budgets; nothing is compared")


def _spent(run: Outcome) -> str:
    tokens = "answers of its own" if run.trained_tokens is None else f"{run.trained_tokens:,} trained tokens"
    return f"{run.pairs:,} pairs, {run.steps:,} steps, {tokens}"


def spread(arms: Arms) -> float:
    """The largest difference within a seed between two arms from the base, as a share of the smaller."""
    names = [arm.name for arm in TUNED if arm.name in arms]
    by_seed = zip(*([run.trained_tokens or 0 for run in arms[name]] for name in names), strict=True)
    return float(max(max(tokens) / min(tokens) - 1 for tokens in by_seed))


def show_arms(metric: str, by_arm: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """A metric of every arm in every cell."""
    first = next(iter(by_arm.values()))
    print(f"\n{metric:{_NAME}}" + "".join(f"{name:>11}" for name in ROWS))
    print(f"{'pairs':{_NAME}}" + "".join(f"{int(first[name]['pairs']):>11,}" for name in ROWS))
    for arm, cells in by_arm.items():
        print(f"{arm:{_NAME}}" + "".join(f"{cells[name][metric]:>11.3f}" for name in ROWS))


def show_passes(arms: Arms) -> None:
    """pass@k of each arm's sampled answers, the mean over seeds."""
    names = list(next(iter(arms.values()))[0].passes)
    title = f"pass@{SAMPLED.samples}, {SAMPLED.pairs} pairs a seed"
    print(f"\n{title:{_NAME}}" + "".join(f"{name:>{_CELL}}" for name in names))
    for arm, runs in arms.items():
        means = [sum(run.passes[name] for run in runs) / len(runs) for name in names]
        print(f"{arm:{_NAME}}" + "".join(f"{value:>{_CELL}.3f}" for value in means))


def show_differences(metric: str, found: Mapping[Contrast, Sequence[Difference]]) -> None:
    """A metric's paired differences with their bounds; an arm's own cell is marked."""
    print(f"\n{f'{metric}, points [bounds]; own cell *':{_NAME}}" + "".join(f"{name:>{_CELL}}" for name in ROWS))
    for contrast, rows in found.items():
        cells = [f"{'*' * (one.cell == contrast.own)}{points(one)}" for one in rows if one.metric == metric]
        print(f"{contrast.name:{_NAME}}" + "".join(f"{text:>{_CELL}}" for text in cells))


def write(folder: Path, found: Report) -> None:
    """The report as JSON, and a plot of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ablation.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "ablation.svg").write_text(as_file(plot(found)), encoding="utf-8")


def plot(found: Report) -> str:
    """A row a contrast: its difference in its own cell, over all pairs where it has none, with its bounds."""
    own = {contrast.name: contrast.own or ALL for contrast in CONTRASTS}
    bars = [
        Bar(f"{row['name']}: {one['cell']}", *(100 * one[name] for name in ("value", "low", "high")))
        for row in found["contrasts"]
        for one in row["cells"]
        if one["metric"] == ACCURACY and one["cell"] == own[row["name"]]
    ]
    ends = [(math.floor((bar.low or 0.0) / 10), math.ceil((bar.high or 0.0) / 10)) for bar in bars]
    low, high = min(0, *(end[0] for end in ends)), max(1, *(end[1] for end in ends))
    return interval_chart("Accuracy@2 by what an arm adds", bars, Axis("points of Accuracy@2", 10 * low, 10 * high))
