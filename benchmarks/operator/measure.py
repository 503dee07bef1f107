"""What one number of train jobs costs the operator: while they start, at rest, and when pods fail."""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.operator import bare, ours
from benchmarks.operator.failures import failure_delays
from benchmarks.operator.load import create_all
from benchmarks.operator.process import Controller, Meter, Usage, total
from hack.cluster.controlplane import ControlPlane
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.resources import JOBS, TRAIN_JOBS

NAMESPACE: Final = "default"
_BARE: Final = "bare"
_READY_SECONDS: Final = 120.0
_QUIET_SECONDS: Final = 3.0
_CALM: Final = 0.15
"""Of one core, all of the control plane: its own housekeeping."""
LOAD: Final = "load generator"
_WRITES: Final = ("create", "apply", "patch", "patch_status", "delete")


@dataclass(frozen=True)
class Cost:
    """What both sides are compared by. `load` is the machine's load average of the last minute, `spent` CPU seconds by process."""

    seconds: float
    job_sets: float
    cpu: float
    peak_mib: float
    load: float
    spent: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """What was measured with one number of objects."""

    objects: int
    seconds: float
    p50: float
    p99: float
    cpu: float
    library_mib: float
    idle_mib: float
    peak_mib: float
    creates: float
    writes: float
    calls: float
    rest_writes: float
    rest_cpu: float
    job_fails: float
    told: float
    restart: float
    restart_cpu: float
    restart_writes: float
    load: float


def measure(
    plane: ControlPlane, folder: Path, size: int, rest: float, failures: int
) -> tuple[Row, Mapping[str, float]]:
    """One size, and CPU seconds by process until the last Job; the operator is started for it, and once more when all are there."""
    os.environ["KUBECONFIG"] = str(plane.kubeconfig)
    with ours.operator(plane, folder, NAMESPACE) as operator:
        found, spent = asyncio.run(_measure(plane, operator, size, rest))
    with ours.operator(plane, folder, NAMESPACE) as operator:
        again = asyncio.run(_restarted(operator))
        told = asyncio.run(_failing(size, failures))
        peak = max(found.pop("peak_mib"), operator.usage().peak)
    return Row(**found, **again, **told, peak_mib=peak), spent


def bare_seconds(plane: ControlPlane, size: int) -> float:
    """Seconds that the same creates take without an operator (`bare`)."""
    os.environ["KUBECONFIG"] = str(plane.kubeconfig)
    plane.kubectl("create", "namespace", _BARE)

    async def run() -> float:
        async with KubeClient(connect, manager="benchmark") as client:
            took = await bare.seconds(client, _BARE, size)
        await calm(plane)
        return took

    return asyncio.run(run())


def of_plane(plane: ControlPlane) -> dict[str, int]:
    """The control plane's processes."""
    return {daemon.name: pid for daemon in plane.daemons() if (pid := daemon.pid()) is not None}


async def calm(plane: ControlPlane) -> None:
    """Until the control plane has next to nothing to do: what one side left to do is not the other's to wait for."""
    pids = of_plane(plane)
    while True:
        meter = Meter(pids)
        await asyncio.sleep(_QUIET_SECONDS)
        if sum(meter.spent().values()) < _CALM * _QUIET_SECONDS:
            return


async def _measure(
    plane: ControlPlane, operator: Controller, size: int, rest: float
) -> tuple[dict[str, Any], Mapping[str, float]]:
    await until(lambda: operator.answers("/readyz"), "the operator is ready")
    await calm(plane)
    await _settled(operator)
    idle, before = operator.usage(), operator.metrics()
    meter = Meter({"operator": operator.pid, **of_plane(plane), LOAD: os.getpid()})
    async with KubeClient(connect, manager="benchmark") as client:
        manifests = [ours.train_job(NAMESPACE, index) for index in range(size)]
        run = await create_all(client, manifests, TRAIN_JOBS, {JOBS: ours.owner})
        spent, load = meter.spent(), os.getloadavg()[0]
        await _settled(operator)
        await calm(plane)
        after = operator.metrics()
        rest_writes, rest_cpu = await _at_rest(operator, rest)
    delays = run.delays(JOBS.kind)
    found = {
        "objects": size,
        "seconds": run.seconds(JOBS.kind),
        "p50": statistics.median(delays),
        "p99": delays[int(0.99 * (size - 1))],
        "cpu": spent["operator"],
        "library_mib": ours.library_mib(),
        "idle_mib": idle.rss,
        "peak_mib": operator.usage().peak,
        "creates": (_calls(after, "create") - _calls(after, "create", "Event")) / size,
        "writes": sum(_calls(after, verb) for verb in _WRITES) / size,
        "calls": (_calls(after) - _calls(before)) / size,
        "rest_writes": rest_writes,
        "rest_cpu": rest_cpu,
        "load": load,
    }
    return found, spent


async def _restarted(operator: Controller) -> dict[str, float]:
    """Started where all objects are there already: CPU seconds from its start until it has looked at each, and its writes."""
    start = time.monotonic()
    await until(lambda: operator.answers("/readyz"), "the operator is ready")
    ready = time.monotonic() - start
    await _settled(operator)
    samples = operator.metrics()
    writes = sum(_calls(samples, verb) for verb in _WRITES)
    return {"restart": ready, "restart_cpu": operator.usage().cpu, "restart_writes": writes}


async def _failing(size: int, failures: int) -> dict[str, float]:
    """Median seconds from a pod's failure to what says so, one pod after the other, where all the others stand beside."""
    step = max(1, size // failures)
    names = [ours.name(index) for index in range(0, size, step)][:failures]
    async with KubeClient(connect, manager="benchmark") as client:
        failed = await failure_delays(client, NAMESPACE, names)
    return {
        "job_fails": statistics.median(delay.job for delay in failed),
        "told": statistics.median(delay.told for delay in failed),
    }


def _calls(samples: Mapping[str, float], verb: str = "", resource: str = "") -> float:
    labels = {name: value for name, value in (("verb", verb), ("resource", resource)) if value}
    return total(samples, "lore_operator_api_calls_total", **labels)


async def _settled(operator: Controller) -> None:
    """Until nothing waits for a worker and the operator has spent next to nothing for three seconds."""
    last: Usage | None = None
    while last is None or operator.usage().cpu - last.cpu > 0.05 or _waiting(operator):
        last = operator.usage()
        await asyncio.sleep(_QUIET_SECONDS)


def _waiting(operator: Controller) -> float:
    return total(operator.metrics(), "lore_operator_queue_depth")


async def _at_rest(operator: Controller, seconds: float) -> tuple[float, float]:
    """Writes, and the share of one core, while nothing happens."""
    before, start, since = operator.metrics(), operator.usage(), time.monotonic()
    await asyncio.sleep(seconds)
    end, spent = operator.usage(), time.monotonic() - since
    after = operator.metrics()
    writes = sum(_calls(after, verb) - _calls(before, verb) for verb in _WRITES)
    return writes, (end.cpu - start.cpu) / spent


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for a process; TimeoutError names what did not come."""
    end = time.monotonic() + _READY_SECONDS
    while not await asyncio.to_thread(holds):
        if time.monotonic() > end:
            raise TimeoutError(f"not so within {_READY_SECONDS} s: {what}")
        await asyncio.sleep(0.2)
