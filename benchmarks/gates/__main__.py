"""`python -m benchmarks.gates [--short] [--out DIR] [--resume FILE]`: what a regression gate lets through and would have seen.

Every setting draws evaluations whose true regression is exactly the margin and asks the gate itself. The share that passes must
stay within 1 - confidence + 1 point, or the exit status is 1. `--out` writes the two plots.
With `--resume` every setting that is done is kept in the file, and a run that was stopped goes on there.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.gates.world import EVEN, RARE, World, losses_for
from lore_core.chart import Axis, Bar, as_file, interval_chart, line_chart
from lore_core.evaluation.catalogue import metric
from lore_core.evaluation.gates import Outcome, apply
from lore_core.jobs import Gate

QUERIES: Final = (20, 50, 200)
CORRELATIONS: Final = (0.0, 0.1, 0.3)
RUNS: Final = 2_000
CURVE_RUNS: Final = 1_000
SHORT_RUNS: Final = 100
CONFIDENCE: Final = 0.95
ALLOWED: Final = 1.0 - CONFIDENCE + 0.01
CURVE_MARGIN: Final = 0.05


@dataclass(frozen=True)
class Case:
    """A gate, the labels' shares, and the labels that carry the whole regression."""

    name: str
    gate: Gate
    gold: tuple[float, ...]
    labels: tuple[int, ...]

    def world(self, queries: int, correlation: float, true: float) -> World:
        """Evaluations whose true regression is `true`."""
        found = metric(self.gate.metric, self.gate.label)
        return World(queries, correlation, self.gold, losses_for(found.of, self.gold, true, self.labels))


def gate(name: str, margin: float, label: str | None = None) -> Gate:
    bound = {"max_regression": f"{margin:g}", "confidence": f"{CONFIDENCE:g}"}
    return Gate(name="held", metric=name, label=label, min_queries=min(QUERIES), **bound)


CASES: Final = (
    Case("Accuracy4, margin 0.02", gate("Accuracy4", 0.02), EVEN, (0, 1, 2, 3)),
    Case("MacroF1, margin 0.02, all lost in a class of 2 %", gate("MacroF1", 0.02), RARE, (0,)),
    Case("F1 of a class of 2 %, margin 0.05", gate("F1", 0.05, "L1"), RARE, (0,)),
)


class Kept:
    """Shares by setting and number of runs, in a file of JSON lines; the last line may be torn by whatever stopped the run."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._found = file, dict[tuple[str, int], float]()
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file and file.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        if file and len(whole) < len(lines):
            file.write_text("".join(whole), encoding="utf-8")
        for line in whole:
            setting, runs, share = json.loads(line)
            self._found[setting, runs] = share

    def share(self, setting: str, runs: int, measure: Callable[[], float]) -> float:
        """The share of a setting: the one that is kept, or measured now and kept."""
        if (setting, runs) not in self._found:
            self._found[setting, runs] = measure()
            if self._file:
                with self._file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps([setting, runs, self._found[setting, runs]]) + "\n")
        return self._found[setting, runs]


def passed(world: World, the_gate: Gate, runs: int) -> float:
    """Share of drawn evaluations that pass the gate."""
    outcomes = (apply([the_gate], world.draw(seed))[0].outcome for seed in range(runs))
    return sum(outcome is Outcome.PASSED for outcome in outcomes) / runs


def false_passes(runs: int, kept: Kept) -> Iterator[tuple[str, float]]:
    """Setting and share passed, the true regression being exactly the margin."""
    for case in CASES:
        for queries in QUERIES:
            for correlation in CORRELATIONS:
                world = case.world(queries, correlation, float(case.gate.max_regression or 0))
                setting = f"{case.name}; {queries} queries, correlation {correlation:g}"
                yield setting, kept.share(setting, runs, partial(passed, world, case.gate, runs))


def power_curve(runs: int, kept: Kept) -> dict[str, list[tuple[float, float]]]:
    """Share passed by true regression, for each number of queries, at a correlation of 0.1."""
    case = Case("Accuracy4", gate("Accuracy4", CURVE_MARGIN), EVEN, (0, 1, 2, 3))
    steps = [CURVE_MARGIN * step / 4 for step in range(7)]

    def share(queries: int, true: float) -> float:
        setting = f"power; {queries} queries, true regression {true:g}"
        return kept.share(setting, runs, lambda: passed(case.world(queries, 0.1, true), case.gate, runs))

    return {f"{queries} queries": [(true, share(queries, true)) for true in steps] for queries in QUERIES}


def plots(found: list[tuple[str, float]], curve: dict[str, list[tuple[float, float]]]) -> dict[str, str]:
    """SVG texts by file name."""
    across, up = Axis("true regression", 0.0, 1.5 * CURVE_MARGIN), Axis("share that passes", 0.0, 1.0)
    guides = {
        "margin": [(CURVE_MARGIN, 0.0), (CURVE_MARGIN, 1.0)],
        f"{1 - CONFIDENCE:.2f}": [(0.0, 1 - CONFIDENCE), (across.high, 1 - CONFIDENCE)],
    }
    bars = [Bar(name, share, other=ALLOWED) for name, share in found]
    return {
        "power.svg": line_chart("Power of a regression gate", curve, across, up, guides),
        "false-pass.svg": interval_chart("False passes at the margin", bars, Axis("share that passes", 0.0, 0.1)),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates")
    parser.add_argument("--short", action="store_true", help=f"{SHORT_RUNS} runs a setting: a smoke test, no proof")
    parser.add_argument("--out", type=Path, help="folder for the plots")
    parser.add_argument("--resume", type=Path, help="file that keeps what is done; a stopped run goes on from it")
    args = parser.parse_args(argv)
    kept = Kept(args.resume)
    began, runs = time.process_time(), SHORT_RUNS if args.short else RUNS
    found = []
    for name, share in false_passes(runs, kept):
        found.append((name, share))
        print(f"{share:.4f}  {name}", flush=True)
    curve = power_curve(SHORT_RUNS if args.short else CURVE_RUNS, kept)
    for name, points in curve.items():
        print(f"power, {name}: " + ", ".join(f"{true:.4f}: {share:.3f}" for true, share in points), flush=True)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        for file, text in plots(found, curve).items():
            (args.out / file).write_text(as_file(text), encoding="utf-8")
    worst = max(share for _, share in found)
    print(
        f"worst {worst:.4f} of {runs} runs a setting, allowed {ALLOWED:.2f}; {time.process_time() - began:.0f} s of one core"
    )
    return 0 if args.short or worst <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
