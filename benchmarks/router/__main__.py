"""`python -m benchmarks.router`: runtimes for the router beside KServe's InferenceGraph router, on one stub backend.

Contenders are kept running and measured in turn (A B C, A B C, …), each pinned to one core; the load and the stub share the
other one. Printed: median and range over the rounds.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import uvloop

from benchmarks.router.contenders import item_text
from benchmarks.router.wire import closed_loop, post

PASS_BODY = json.dumps({"model": "m", "input": list(range(40))}).encode()
HERE = [sys.executable, "-m", "benchmarks.router.contenders"]


@dataclass
class Contender:
    """One server to measure. `head` is whether it has the head endpoint."""

    name: str
    command: list[str]
    path: str = "/pass"
    head: bool = True
    port: int = 0
    added: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    items: list[float] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, core: int, env: dict[str, str] | None = None) -> Iterator[None]:
    """A server on one core, until the block ends."""
    process = subprocess.Popen(
        command, preexec_fn=lambda: os.sched_setaffinity(0, {core}), env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"did not start: {shlex.join(command)}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def kserve(binary: str, backend: int) -> Contender:
    """KServe's router with a graph of one step. It listens on 8080 and nowhere else."""
    graph = {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": f"http://127.0.0.1:{backend}/"}]}}}
    return Contender("kserve", [binary, "--graph-json", json.dumps(graph)], path="/", head=False, port=8080)


async def measure(contender: Contender, stub: int, seconds: float) -> None:
    direct, _ = await closed_loop(stub, [post("/", PASS_BODY)], 1, seconds)
    through, _ = await closed_loop(contender.port, [post(contender.path, PASS_BODY)], 1, seconds)
    contender.added.append((statistics.median(through) - statistics.median(direct)) * 1e3)
    contender.p99.append(statistics.quantiles(through, n=100)[98] * 1e3)
    _, rate = await closed_loop(contender.port, [post(contender.path, PASS_BODY)], 16, seconds)
    contender.rate.append(rate)
    if contender.head:
        _, rate = await closed_loop(contender.port, head_requests(), 4, seconds)
        contender.items.append(rate * 100)


def head_requests() -> list[bytes]:
    bodies = []
    for query in range(100):
        items = [{"id": str(number), "text": item_text(number)} for number in range(100)]
        bodies.append(post("/head", msgspec.json.encode({"query": f"query {query}", "items": items})))
    return bodies


def table(contenders: list[Contender]) -> str:
    lines = [f"{'':<16}{'added median ms':>24}{'p99 ms':>22}{'requests/s, 16 clients':>26}{'head items/s':>28}"]
    for c in contenders:
        cells = [spread(c.added, ".3f"), spread(c.p99, ".3f"), spread(c.rate, ".0f"), spread(c.items, ".0f")]
        lines.append(f"{c.name:<16}{cells[0]:>24}{cells[1]:>22}{cells[2]:>26}{cells[3]:>28}")
    return "\n".join(lines)


def spread(values: list[float], form: str) -> str:
    if not values:
        return "-"
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.router", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--kserve-router", help="KServe's router binary")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=COMMAND", help="{port} and {backend} filled in")
    parser.add_argument("--only", help="contenders, comma separated")
    args = parser.parse_args()
    backend = free_port()
    found = [Contender(n, [*HERE, n]) for n in ("granian+raw", "granian+lib", "raw+raw", "aiohttp+raw", "aiohttp+lib")]
    for one in found:
        one.port = free_port()
        one.command += [str(one.port), str(backend)]
    for name, _, command in (text.partition("=") for text in args.also):
        port = free_port()
        found.append(Contender(name, shlex.split(command.format(port=port, backend=backend)), port=port))
    if args.kserve_router:
        found.append(kserve(args.kserve_router, backend))
    if args.only:
        found = [c for c in found if c.name in args.only.split(",")]
    stub = [sys.executable, "-m", "benchmarks.router.stub", str(backend)]
    os.sched_setaffinity(0, {0})
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(stub, backend, 0))
        for contender in found:
            stack.enter_context(running(contender.command, contender.port, 1, {"GOMAXPROCS": "1"}))
        for _ in range(args.rounds):
            for contender in found:
                uvloop.run(measure(contender, backend, args.seconds))
    print(table(found))


if __name__ == "__main__":
    main()
