"""`python -m benchmarks.router`: the router beside KServe's InferenceGraph router, on one stub backend.

Servers are kept running and measured in turn (A B C, A B C, …), each pinned to one core; the load and the stub share the
other one. Printed: median and range over the rounds. `--runtimes` adds the minimal routers of `contenders.py`, which do
nothing but pass on and look up: what ADR 0009 was decided by.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvloop

from benchmarks.router import world
from benchmarks.router.contenders import item_text
from benchmarks.router.wire import closed_loop, open_loop, post
from lore_core.headcache import QueryItem
from lore_core.prompts import ModelKit

PASS_BODY = json.dumps({"model": "m", "input": list(range(40))}).encode()
RUNTIMES = ("granian+raw", "granian+aiohttp", "raw+raw", "aiohttp+raw", "aiohttp+aiohttp")
APART = "lore, rendered once"
LISTS = f"lore, {world.LIST} items"
ONE_BY_ONE = f"{LISTS} one by one"
ITEMS = 100
SHORT = {"rounds": 1, "seconds": 0.5}
TARGET_ITEMS = 100_000
PASS_AIM = 1.2


@dataclass
class Server:
    """One server to measure: how it starts, what it is asked, and what was found."""

    name: str
    command: list[str]
    port: int
    one: list[bytes]
    head: list[bytes]
    pid: int = 0
    added: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    items: list[float] = field(default_factory=list)
    core: list[float] = field(default_factory=list)
    head_core: list[float] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, core: int) -> Iterator[int]:
    """A server on one core, until the block ends; gives its process id."""
    process = subprocess.Popen(
        ["taskset", "--cpu-list", str(core), *command],
        env={**os.environ, "GOMAXPROCS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"did not start: {shlex.join(command)}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def runtime(name: str, backend: int) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.router.contenders", name, str(port), str(backend)]
    return Server(name, command, port, [post("/pass", PASS_BODY)], minimal_head())


def whole(name: str, command: list[str]) -> Server:
    """The router itself."""
    port = free_port()
    return Server(name, [*command, "--port", str(port)], port, world.one_item(), world.hundred_items())


def other(named: str, backend: int) -> Server:
    """A server of the reader's own with the two paths of `contenders.py`."""
    name, _, command = named.partition("=")
    port = free_port()
    words = shlex.split(command.format(port=port, backend=backend))
    return Server(name, words, port, [post("/pass", PASS_BODY)], minimal_head())


def listing(name: str, command: list[str]) -> Server:
    """The router itself, asked about many items at once that the predictor must score."""
    port = free_port()
    return Server(name, [*command, "--port", str(port)], port, world.list_of_items(), [])


def kserve(binary: str, backend: int) -> Server:
    """KServe's router with a graph of one step. It listens on 8080 and nowhere else."""
    graph = {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": f"http://127.0.0.1:{backend}/"}]}}}
    return Server("kserve", [binary, "--graph-json", json.dumps(graph)], 8080, [post("/", PASS_BODY)], [])


def minimal_head() -> list[bytes]:
    items = [{"id": str(number), "text": item_text(number)} for number in range(ITEMS)]
    return [post("/head", msgspec.json.encode({"query": f"query {query}", "items": items})) for query in range(100)]


async def measure(server: Server, stub: int, seconds: float) -> None:
    direct, _ = await closed_loop(stub, [post("/", PASS_BODY)], 1, seconds)
    through, _ = await closed_loop(server.port, server.one, 1, seconds)
    server.added.append((statistics.median(through) - statistics.median(direct)) * 1e3)
    server.p99.append(percentile_99(through) * 1e3)
    used = core_seconds(server.pid)
    done, rate = await closed_loop(server.port, server.one, 16, seconds)
    server.rate.append(rate)
    server.core.append((core_seconds(server.pid) - used) / len(done) * 1e6)
    if server.head:
        used = core_seconds(server.pid)
        done, rate = await closed_loop(server.port, server.head, 4, seconds)
        server.items.append(rate * ITEMS)
        server.head_core.append(len(done) * ITEMS / max(core_seconds(server.pid) - used, 0.01))


def core_seconds(pid: int) -> float:
    """Processor time of a process so far: a busy machine lengthens waits, not this."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile_99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def rendering(kit: ModelKit) -> float:
    """Milliseconds to render the one-item request's prompt, median."""
    record, times = QueryItem("odd query", "", str(world.TAIL_ITEM["title"])), []
    for _ in range(2_000):
        start = time.perf_counter()
        kit.render(record)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def table(servers: list[Server]) -> str:
    columns = (
        "added median ms",
        "p99 ms",
        "requests/s, 16 cl.",
        "core us/request",
        "head items/s",
        "head items/core s",
    )
    lines = ["".join(f"{name:>28}" for name in ("", *columns))]
    for s in servers:
        cells = [
            spread(s.added, ".3f"), spread(s.p99, ".2f"), spread(s.rate, ".0f"), spread(s.core, ".0f"),
            spread(s.items, ".0f"), spread(s.head_core, ".0f"),
        ]  # fmt: skip
        lines.append("".join(f"{cell:>28}" for cell in (s.name, *cells)))
    return "\n".join(lines)


def compared(servers: list[Server]) -> str:
    """How many times KServe's router's added median ours is, whole and apart from rendering."""
    added = {s.name: statistics.median(s.added) for s in servers}
    found = ", ".join(f"{name} {added[name] / added['kserve']:.2f}" for name in ("lore", APART))
    return f"times the median that KServe's router adds (aim {PASS_AIM}): {found}"


def batching(lists: Server, one_by_one: Server) -> str:
    """What lists of prompts take and save, an item."""

    def each(server: Server) -> str:
        waited, core = (statistics.median(found) / world.LIST for found in (server.added, server.core))
        return f"{waited * 1e3:.0f} us and {core:.0f} us of a core"

    return f"lore: an item of {world.LIST} adds {each(lists)} by lists, {each(one_by_one)} one by one"


def spread(values: list[float], form: str) -> str:
    if not values:
        return "-"
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.router", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--short", action="store_true", help="for CI: one short round; fails below half of the target")
    parser.add_argument("--kserve-router", help="KServe's router binary; needs port 8080")
    parser.add_argument("--runtimes", action="store_true", help="minimal routers on other runtimes too")
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME=COMMAND", help="{port} and {backend} filled in"
    )
    return parser.parse_args()


def await_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise SystemExit("the router did not become ready")


def main() -> int:
    args = arguments()
    rounds, seconds = (SHORT["rounds"], SHORT["seconds"]) if args.short else (args.rounds, args.seconds)
    if shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        raise SystemExit("needs two cores and taskset (Debian package util-linux)")
    root, backend = Path(tempfile.mkdtemp(prefix="lore-bench-")), free_port()
    command, kit = world.prepare(root, backend)
    lore, apart = whole("lore", command), whole(APART, world.rendered_once(command))
    lists, one_by_one = listing(LISTS, command), listing(ONE_BY_ONE, world.one_by_one(command))
    servers = [lore, apart, lists, one_by_one, *(runtime(name, backend) for name in RUNTIMES if args.runtimes)]
    servers += [other(named, backend) for named in args.also]
    servers += [kserve(args.kserve_router, backend)] if args.kserve_router else []
    os.sched_setaffinity(0, {0})
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root)
        stack.enter_context(running([sys.executable, "-m", "benchmarks.router.stub", str(backend)], backend, 0))
        for server in servers:
            server.pid = stack.enter_context(running(server.command, server.port, 1))
        for server in (lore, apart, lists, one_by_one):
            await_ready(server.port)
        for _ in range(int(rounds)):
            for server in servers:
                uvloop.run(measure(server, backend, seconds))
        half = TARGET_ITEMS / 2 / ITEMS
        late = uvloop.run(open_loop(lore.port, lore.head, half, 16, 4 * seconds))
    print(table(servers))
    print(f"lore: head p99 at {half * ITEMS:,.0f} items/s: {percentile_99(late) * 1e3:.2f} ms")
    print(batching(lists, one_by_one))
    print(f"lore: rendering the prompt takes {rendering(kit):.3f} ms by itself")
    if args.kserve_router:
        print(compared(servers))
    return 1 if args.short and statistics.median(lore.head_core) < TARGET_ITEMS / 2 else 0


if __name__ == "__main__":
    sys.exit(main())
