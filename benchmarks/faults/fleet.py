"""Processes of a deployment without a cluster: predictors, routers in turn, their loader, and who is ready."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

_POLL_SECONDS = 0.05
_START_SECONDS = 60.0
_WAITS = "router: configuration waits: "


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _started(log: Path, *words: str) -> asyncio.subprocess.Process:
    with log.open("ab") as errors:
        return await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=errors,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip


async def _ended(process: asyncio.subprocess.Process, number: int) -> int:
    """Send a signal and wait for the end; the exit status."""
    if process.returncode is None:
        process.send_signal(number)
    return await process.wait()


class Predictor:
    """One stub predictor at a fixed address."""

    def __init__(self, scores: Sequence[float], log: Path) -> None:
        self.scores, self._log, self._port = scores, log, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, or start again after `kill`; returns once it listens."""
        words = ("-m", "benchmarks.faults.predictor", str(self._port), ",".join(map(str, self.scores)))
        self._process = await _started(self._log, *words)
        async with asyncio.timeout(_START_SECONDS):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    writer.close()
                    return
                await asyncio.sleep(_POLL_SECONDS)

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            await _ended(self._process, signal.SIGKILL)

    async def behave(self, mode: str) -> None:
        """Change its mode."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/behave", data=mode.encode()) as answer:
            answer.raise_for_status()


def summed(metrics: str, name: str) -> int:
    """One metric, all labels together, of what a router's `/metrics` says."""
    lines = (line for line in metrics.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return round(sum(float(line.rpartition(" ")[2]) for line in lines))


@dataclass(frozen=True)
class Replica:
    """One router process."""

    process: asyncio.subprocess.Process
    url: str


class Fleet:
    """Router replicas over one folder and one configuration file, and the loader beside them.

    `ready` names those whose `/readyz` last said yes: what a Service's endpoints are in a cluster.
    """

    def __init__(self, folder: Path, drain_seconds: float) -> None:
        self._folder, self._drain = folder, drain_seconds
        self._common = ["--config", str(folder / "router.json"), "--data", str(folder / "data")]
        self.replicas: list[Replica] = []
        self._ready: set[str] = set()
        self._serves: dict[str, str | None] = {}
        self._looked = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def running(self, count: int) -> AsyncIterator["Fleet"]:
        """`count` routers that serve, their loader, and the watch on readiness."""
        loader = await _started(self._folder / "loader.log", "-m", "lore_core", "router", "load", *self._common)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as self._session:
            watch = asyncio.create_task(self._watch())
            try:
                for _ in range(count):
                    await self.add()
                yield self
            finally:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
                for process in (loader, *(replica.process for replica in self.replicas)):
                    await _ended(process, signal.SIGKILL)

    def ready(self) -> list[str]:
        """Addresses of the ready replicas."""
        return [replica.url for replica in self.replicas if replica.url in self._ready]

    async def add(self) -> Replica:
        """Start one more and wait until it is ready."""
        words = ["serve", *self._common, "--host", "127.0.0.1", "--port", "0", "--drain-seconds", str(self._drain)]
        process = await _started(self._folder / "router.log", "-m", "lore_core", "router", *words)
        assert process.stdout is not None
        found = re.search(r":(\d+)$", (await process.stdout.readline()).decode().strip())
        if found is None:
            raise SystemExit(f"a router did not start; see {self._folder / 'router.log'}")
        replica = Replica(process, f"http://127.0.0.1:{found.group(1)}")
        self.replicas.append(replica)
        await self._until(lambda: replica.url in self._ready)
        return replica

    async def drain(self, replica: Replica) -> int:
        """SIGTERM; the exit status."""
        status = await _ended(replica.process, signal.SIGTERM)
        self.replicas.remove(replica)
        return status

    async def kill(self, replica: Replica) -> float:
        """SIGKILL; the moment (`time.monotonic`) from which nothing could be sent to it any more."""
        await _ended(replica.process, signal.SIGKILL)
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # what its sockets said at their end has been read
        gone = time.monotonic()
        self.replicas.remove(replica)
        return gone

    async def acknowledged(self, config_hash: str) -> None:
        """Wait until every replica serves a configuration."""
        await self._until(lambda: all(self._serves.get(replica.url) == config_hash for replica in self.replicas))

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(_START_SECONDS), self._looked:
            await self._looked.wait_for(reached)

    async def metric(self, name: str) -> int:
        """One counter, all labels and replicas together."""
        total = 0
        for replica in self.replicas:
            async with self._session.get(f"{replica.url}/metrics") as answer:
                total += summed(await answer.text(), name)
        return total

    def waits(self) -> list[str]:
        """Why routers went on with an older configuration, as they said it."""
        lines = (self._folder / "router.log").read_text(encoding="utf-8").splitlines()
        return [line.removeprefix(_WAITS) for line in lines if line.startswith(_WAITS)]

    async def _watch(self) -> None:
        """Look at every replica, again and again."""
        while True:
            for replica in list(self.replicas):
                well = False
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with self._session.get(f"{replica.url}/state") as answer:
                        self._serves[replica.url] = (await answer.json())["configHash"]
                    async with self._session.get(f"{replica.url}/readyz") as answer:
                        well = answer.status == 200
                (self._ready.add if well else self._ready.discard)(replica.url)
            async with self._looked:
                self._looked.notify_all()
            await asyncio.sleep(_POLL_SECONDS)
