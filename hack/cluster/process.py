"""Daemons: started detached, known again by pid, start time and boot, stopped only if they are still the same."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hack.cluster import files
from hack.cluster.errors import ClusterError
from hack.cluster.paths import SEARCH

_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Identity:
    """What tells a process from a later one with the same pid."""

    pid: int
    started: int
    boot: str


@dataclass(frozen=True)
class Running:
    """A process of this machine as /proc shows it."""

    pid: int
    parent: int
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Daemon:
    """One background program of a cluster; its record and log lie in the cluster's folder."""

    name: str
    directory: Path

    @property
    def log(self) -> Path:
        """Where the program's output goes."""
        return self.directory / "log" / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.directory / "pid" / f"{self.name}.json"

    def pid(self) -> int | None:
        """The pid if the recorded program runs, else None."""
        try:
            recorded = Identity(**json.loads(self._record.read_text()))
        except FileNotFoundError:
            return None
        return recorded.pid if identity(recorded.pid) == recorded else None

    def start(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Start the program detached unless it already runs."""
        if self.pid() is not None:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        pid = _spawn([str(part) for part in command], {**os.environ, "PATH": SEARCH, **(environment or {})}, self.log)
        started = identity(pid)
        if started is None:
            raise self.failure("ended at once")
        files.write(self._record, json.dumps(asdict(started)))

    def stop(self) -> None:
        """Ask the program to end, kill it after ten seconds, forget it."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not _ended(pid, _STOP_SECONDS):
                os.kill(pid, signal.SIGKILL)
                _ended(pid, _STOP_SECONDS)
        self._record.unlink(missing_ok=True)

    def failure(self, what: str) -> ClusterError:
        """An error that ends with the last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-15:] if self.log.exists() else []
        return ClusterError("\n".join([f"{self.name} {what}; the end of {self.log}:", *lines]))


def identity(pid: int) -> Identity | None:
    """Who has this pid now; None when nobody does or it has ended and waits to be reaped."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        # The program's name may hold spaces and brackets: the fields start after the last one.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, threads, started = fields[0], int(fields[17]), int(fields[19])
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    # A killed program's first thread may have ended while others still hold its ports and files.
    return None if state == "Z" and threads <= 1 else Identity(pid, started, boot)


def running() -> Iterator[Running]:
    """All processes that have not ended; one that ends meanwhile may be missing."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state == "Z":
                    continue
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                yield Running(int(folder.name), int(parent), (folder / "comm").read_text().strip(), tuple(arguments))


def _spawn(command: list[str], environment: dict[str, str], log: Path) -> int:
    """A session of its own, so that the user's Ctrl-C does not reach it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _ended(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while identity(pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
