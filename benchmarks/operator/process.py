"""A controller as a process of its own: started, asked for its numbers, ended."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far, resident and highest resident MiB."""

    cpu: float
    rss: float
    peak: float


def usage_of(pid: int) -> Usage:
    """What the kernel has counted of a process."""
    folder = Path(f"/proc/{pid}")
    # Fields 14 and 15 of proc(5)'s stat, counted after the command's name, which may hold spaces.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    status = (folder / "status").read_text()
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, mebibytes(status, "VmRSS"), mebibytes(status, "VmHWM"))


class Meter:
    """CPU seconds of several processes by name, from when it was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = self._now()

    def spent(self) -> dict[str, float]:
        """Since then."""
        return {name: now - self._before[name] for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: usage_of(pid).cpu for name, pid in self._pids.items()}


class Controller:
    """One controller process; its `/metrics` and `/readyz` are at `port`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, port: int) -> None:
        self._command, self._environment, self._log, self.port = command, environment, log, port
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, env=dict(self._environment), stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def usage(self) -> Usage:
        """What the kernel has counted of the process. RuntimeError with the end of its log where it has died."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended:\n{self._log.read_text()[-2000:]}")
        return usage_of(self._process.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def answers(self, path: str) -> bool:
        """Whether it answers 200."""
        self.usage()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def metrics(self) -> dict[str, float]:
        """Samples of `/metrics`: name with its labels as they are written, and value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        matches = (_SAMPLE.match(line) for line in lines)
        return {f"{found[1]}{{{found[2] or ''}}}": float(found[3]) for found in matches if found}


def total(samples: Mapping[str, float], name: str, **labels: str) -> float:
    """Sum of a metric's samples that carry these labels."""
    wanted = [f"{label}={json.dumps(value)}" for label, value in labels.items()]
    return sum(
        value
        for sample, value in samples.items()
        if sample.startswith(f"{name}{{") and all(label in sample for label in wanted)
    )


def mebibytes(status: str, name: str) -> float:
    """A size from proc(5)'s status."""
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
