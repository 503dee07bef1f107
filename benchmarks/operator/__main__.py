"""`python -m benchmarks.operator`: many train jobs created at once on the control-plane profile, and how the cost grows.

For each size a fresh control plane and a fresh operator: time until every train job has its Job (all, median, 99th
percentile of one object), CPU seconds and resident memory of the operator (`library_mib` of it are kopf and its HTTP client,
imported and idle), creates per job (Events aside), writes and CPU at rest, the median time from a pod's failure to the
Job's condition and to the train job's, and the machine's load average when all Jobs were there. The Job controller of Kubernetes
works beside it on the same cores and creates the pods. Then the operator is started again where all of it exists: seconds until
it is ready, CPU seconds until it has looked at everything, and what it wrote. A second line says which process the CPU seconds
until the last Job were spent in.

`--peer` sets the controllers of Kubeflow Trainer and of JobSet beside it for each size, on the same control plane, with Trainer's
shipped limits and with them lifted: until every TrainJob has its JobSet, and until every one has its Job. Then the creates that
this operator makes, by a bare client. Ratios of one run mean something on a busy machine, seconds do not.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.operator import ours, trainer
from benchmarks.operator.measure import Cost, Row, bare_seconds, measure
from hack.cluster.controlplane import ControlPlane
from lore_core.chart import Axis, as_file, line_chart

SIZES: Final = (500, 1000, 2000, 5000)
SHORT: Final = (100,)
_ROWS: Final = "operator-rows.jsonl"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of train jobs")
    parser.add_argument("--short", action="store_true", help="one small size, under a minute")
    parser.add_argument("--peer", action="store_true", help="Kubeflow Trainer's controller beside it (built first)")
    parser.add_argument("--rest", type=float, default=30.0, help="seconds to look at the operator at rest")
    parser.add_argument("--failures", type=int, default=20, help="pods that fail, one after the other")
    parser.add_argument(
        "--out", type=Path, help="folder for two plots, and for the rows: those of several runs make one plot"
    )
    args = parser.parse_args()
    sizes, rest, failures = (SHORT, 5.0, 3) if args.short else (args.sizes, args.rest, args.failures)
    print(" ".join(f"{name:>11}" for name in Row.__annotations__), flush=True)
    for size in sizes:
        row = one_size(size, rest, failures, args.peer)
        if args.out:
            draw(args.out, row)
    return 0


def draw(folder: Path, row: Row) -> None:
    """Keep a row beside those of other sizes, and plot them all."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / _ROWS
    kept = [Row(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
    rows = sorted([*(old for old in kept if old.objects != row.objects), row], key=lambda one: one.objects)
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in rows), encoding="utf-8")
    for name, chart in plots(rows).items():
        (folder / name).write_text(as_file(chart), encoding="utf-8")


def one_size(size: int, rest: float, failures: int, peer: bool) -> Row:
    """One size on a control plane of its own; what it shows is printed."""
    definitions = sorted((ours.ROOT / "crds").glob("*.yaml")) + (trainer.definitions() if peer else [])
    with (
        tempfile.TemporaryDirectory(prefix="lore-bench-") as folder,
        ControlPlane.temporary(definitions) as plane,
    ):
        peers = trainer.costs(plane, Path(folder), size) if peer else iter(())
        shipped = said(islice(peers, 1), size)
        row, spent = measure(plane, Path(folder), size, rest, failures)
        print(" ".join(f"{value:>11.4g}" for value in asdict(row).values()), flush=True)
        print(f"  CPU seconds until the last Job: {by_process(spent)}", flush=True)
        for name, cost in (shipped | said(peers, size)).items():
            print(f"  {ratios(row, name, cost)}", flush=True)
        if peer:
            bare = bare_seconds(plane, size)
            print(
                f"  bare creates, {size} objects: seconds {bare:.4g} (ours {row.seconds / bare:.2f} of it)", flush=True
            )
    return row


def said(costs: Iterable[tuple[str, Cost]], size: int) -> dict[str, Cost]:
    """The costs of peers, printed as they come."""
    found = {}
    for name, cost in costs:
        found[name] = cost
        print(alone(name, size, cost), flush=True)
    return found


def by_process(spent: Mapping[str, float]) -> str:
    """The processes, the most expensive first."""
    ordered = sorted(spent.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in ordered)


def alone(name: str, size: int, cost: Cost) -> str:
    """What the peer took."""
    return (
        f"  {name}, {size} objects: {cost.seconds:.4g} seconds to all Jobs, {cost.job_sets:.4g} to all JobSets, "
        f"{cost.cpu:.4g} CPU seconds and {cost.peak_mib:.4g} MiB of both controllers, load average {cost.load:.1f}\n"
        f"  CPU seconds until the last Job: {by_process(cost.spent)}"
    )


def ratios(row: Row, name: str, cost: Cost) -> str:
    """How much of the peer's cost ours is."""
    pairs = (
        ("seconds to all Jobs", row.seconds / cost.seconds),
        ("seconds to all Jobs by theirs to all JobSets", row.seconds / cost.job_sets),
        ("CPU seconds", row.cpu / cost.cpu),
        ("MiB", row.peak_mib / cost.peak_mib),
    )
    return f"ours by {name}: " + ", ".join(f"{what} {ratio:.2f}" for what, ratio in pairs)


def plots(rows: Sequence[Row]) -> dict[str, str]:
    """Time and CPU, and memory, over the number of objects; the dashed line is linear growth from the smallest size."""
    across = Axis("train jobs", 0.0, max(row.objects for row in rows))
    first = rows[0]
    linear = [(float(row.objects), first.seconds * row.objects / first.objects) for row in rows]
    times = {
        "seconds to all Jobs": [(float(row.objects), row.seconds) for row in rows],
        "CPU seconds": [(float(row.objects), row.cpu) for row in rows],
        "CPU, started again": [(float(row.objects), row.restart_cpu) for row in rows],
    }
    memory = {
        "highest": [(float(row.objects), row.peak_mib) for row in rows],
        "idle, empty": [(float(row.objects), row.idle_mib) for row in rows],
    }
    guide = {"kopf, HTTP client": [(float(row.objects), row.library_mib) for row in rows]}
    return {
        "operator-time.svg": _chart("Train jobs at once", times, across, "seconds", {"linear": linear}),
        "operator-memory.svg": _chart("Resident memory", memory, across, "MiB", guide),
    }


def _chart(
    title: str,
    lines: dict[str, list[tuple[float, float]]],
    across: Axis,
    unit: str,
    guides: dict[str, list[tuple[float, float]]],
) -> str:
    most = max(value for points in (*lines.values(), *guides.values()) for _, value in points)
    return line_chart(title, lines, across, Axis(unit, 0.0, most), guides)


if __name__ == "__main__":
    sys.exit(main())
