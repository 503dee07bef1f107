"""`python -m benchmarks.install`: how long the operator takes to be ready, and `lore status` with many objects.

One fresh control plane. The operator, with the chart's rights, is started again and again: from the start of its process to
the first 200 of /readyz. Then a namespace gets train jobs, models, evaluations and deployments, a quarter each, with the
conditions that the operator writes, and `lore status` is asked as a person asks it, kubectl included. Seconds are those of this
machine, as busy as it is; CPU seconds are the program's own.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.install import chain
from benchmarks.operator import ours
from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane

READY_SECONDS: Final = 3.0
STATUS_SECONDS: Final = 1.0
_LONGEST: Final = 120.0


class Spent(NamedTuple):
    """Seconds on the wall, and CPU seconds of the program with its children."""

    wall: float
    cpu: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=500, help="objects of the namespace, a multiple of four")
    parser.add_argument("--runs", type=int, default=5, help="of each; the median is printed")
    args = parser.parse_args()
    definitions = sorted((ours.ROOT / "crds").glob("*.yaml"))
    with tempfile.TemporaryDirectory(prefix="lore-bench-") as folder, ControlPlane.temporary(definitions) as plane:
        show("operator ready", READY_SECONDS, [ready(plane, Path(folder)) for _ in range(args.runs)])
        chain.create(plane, args.objects)
        lines, spent = zip(*(status(plane) for _ in range(args.runs)), strict=True)
        show(f"lore status of {args.objects} objects", STATUS_SECONDS, list(spent))
    if {*lines} != {args.objects + 1}:
        print(f"lore status printed {lines} lines for {args.objects} objects and a heading", file=sys.stderr)
        return 1
    return 0


def show(what: str, most: float, runs: list[Spent]) -> None:
    """One line: the median, what it should stay below, and the CPU seconds that no other process can add to."""
    wall, cpu = (statistics.median(one) for one in zip(*runs, strict=True))
    print(f"{what}: {wall:.2f} s (to stay below {most:g} s), CPU {cpu:.2f} s, median of {len(runs)}", flush=True)


def ready(plane: ControlPlane, folder: Path) -> Spent:
    """From the start of the operator's process to its readiness."""
    controller, started = ours.operator(plane, folder, "default"), time.monotonic()
    with controller:
        _until(lambda: controller.answers("/readyz"))
        return Spent(time.monotonic() - started, controller.usage().cpu)


def status(plane: ControlPlane) -> tuple[int, Spent]:
    """`lore status` of the namespace: how many lines it printed, and what it took."""
    programs = str(tools.require("kubectl").parent)
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "KUBECONFIG": str(plane.kubeconfig),
        "HOME": str(plane.directory),
    }
    command = [sys.executable, "-m", "lore_core", "status", "--namespace", chain.NAMESPACE]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ours.ROOT)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return len(done.stdout.splitlines()), Spent(wall, cpu)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _LONGEST
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"the operator is not ready after {_LONGEST:.0f} s")
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
