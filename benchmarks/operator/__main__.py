"""`python -m benchmarks.operator`: many train jobs created at once on the control-plane profile, and how the cost grows.

For each size a fresh control plane and a fresh operator: time until every train job has its Job (all, median, 99th
percentile of one object), CPU seconds and highest resident memory of the operator, creates per job (Events aside), writes
and CPU at rest. The Job controller of Kubernetes works beside it on the same two cores and creates the pods.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.operator import ours
from benchmarks.operator.load import create_all
from benchmarks.operator.process import Controller, Usage, total
from hack.cluster.controlplane import ControlPlane
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.resources import JOBS, TRAIN_JOBS

NAMESPACE = "default"
SIZES = (500, 1000, 2000)
SHORT = (100,)
_READY_SECONDS = 120.0
_WRITES = ("create", "apply", "patch", "patch_status", "delete")


@dataclass(frozen=True)
class Row:
    """What was measured with one number of objects."""

    objects: int
    seconds: float
    p50: float
    p99: float
    cpu: float
    idle_mib: float
    peak_mib: float
    creates: float
    writes: float
    calls: float
    rest_writes: float
    rest_cpu: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of train jobs")
    parser.add_argument("--short", action="store_true", help="one small size, under a minute")
    parser.add_argument("--rest", type=float, default=30.0, help="seconds to look at the operator at rest")
    args = parser.parse_args()
    sizes, rest = (SHORT, 5.0) if args.short else (args.sizes, args.rest)
    print(" ".join(f"{name:>11}" for name in Row.__annotations__), flush=True)
    for size in sizes:
        row = measure(size, rest)
        print(" ".join(f"{value:>11.4g}" for value in asdict(row).values()), flush=True)
    return 0


def measure(size: int, rest: float) -> Row:
    """One size on a control plane of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="lore-bench-") as folder,
        ControlPlane.temporary(sorted((ours.ROOT / "crds").glob("*.yaml"))) as plane,
        ours.operator(plane, Path(folder), NAMESPACE) as operator,
    ):
        os.environ["KUBECONFIG"] = str(plane.kubeconfig)
        return asyncio.run(_measure(operator, size, rest))


async def _measure(operator: Controller, size: int, rest: float) -> Row:
    await _until(lambda: operator.answers("/readyz"), "the operator is ready")
    idle, before = operator.usage(), operator.metrics()
    async with KubeClient(connect, manager="benchmark") as client:
        manifests = [ours.train_job(NAMESPACE, index) for index in range(size)]
        run = await create_all(client, manifests, TRAIN_JOBS, JOBS, ours.owner)
    busy = operator.usage()
    await _settled(operator)
    after = operator.metrics()
    rest_writes, rest_cpu = await _at_rest(operator, rest)
    delays = run.delays
    return Row(
        objects=size,
        seconds=run.seconds,
        p50=statistics.median(delays),
        p99=delays[int(0.99 * (size - 1))],
        cpu=busy.cpu - idle.cpu,
        idle_mib=idle.rss,
        peak_mib=operator.usage().peak,
        creates=(_calls(after, "create") - _calls(after, "create", "Event")) / size,
        writes=sum(_calls(after, verb) for verb in _WRITES) / size,
        calls=(_calls(after) - _calls(before)) / size,
        rest_writes=rest_writes,
        rest_cpu=rest_cpu,
    )


def _calls(samples: Mapping[str, float], verb: str = "", resource: str = "") -> float:
    labels = {name: value for name, value in (("verb", verb), ("resource", resource)) if value}
    return total(samples, "lore_operator_api_calls_total", **labels)


async def _settled(operator: Controller) -> None:
    """Until the operator has spent next to nothing for three seconds."""
    last: Usage | None = None
    while last is None or operator.usage().cpu - last.cpu > 0.05:
        last = operator.usage()
        await asyncio.sleep(3.0)


async def _at_rest(operator: Controller, seconds: float) -> tuple[float, float]:
    """Writes, and the share of one core, while nothing happens."""
    before, start, since = operator.metrics(), operator.usage(), time.monotonic()
    await asyncio.sleep(seconds)
    end, spent = operator.usage(), time.monotonic() - since
    after = operator.metrics()
    writes = sum(_calls(after, verb) - _calls(before, verb) for verb in _WRITES)
    return writes, (end.cpu - start.cpu) / spent


async def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not await asyncio.to_thread(holds):
        if time.monotonic() > end:
            raise TimeoutError(f"not so within {_READY_SECONDS} s: {what}")
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
