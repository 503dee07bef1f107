"""Ranks that are killed while they train."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from lore_core.artifacts import ArtifactRef, open_store
from lore_core.jobs import TrainConfig
from lore_core.training.checkpoints import complete_checkpoints

from .site import Site

_POLL_SECONDS = 0.01
"""Between looks at what another process writes; nothing depends on how long that takes."""


def rank_pid(launcher: int, rank: int) -> int:
    """The process of one rank: a descendant of the launcher with that RANK in its environment."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and launcher in ancestors(int(entry.name)):
            with contextlib.suppress(OSError):
                if f"RANK={rank}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    return int(entry.name)
    raise AssertionError(f"no process of rank {rank}")


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        found.append(pid)
    return found


def killed_after_a_checkpoint(process: "subprocess.Popen[bytes]", where: ArtifactRef, rank: int = 1) -> int:
    """Wait for the first whole checkpoint, kill -9 one rank, and return the launcher's status."""
    while not complete_checkpoints(where):
        assert process.poll() is None, "the stage ended before its first checkpoint"
        time.sleep(_POLL_SECONDS)
    os.kill(rank_pid(process.pid, rank), signal.SIGKILL)
    return process.wait()


def killed_many_times(site: Site, name: str, config: TrainConfig, ranks: int, kills: int, seed: int) -> list[str]:
    """Start a stage again and again, and kill one of its ranks each time: every third time inside a save, else at a random step.

    Returns where each kill fell; the stage is then not at its end.
    """
    draw, fell = random.Random(seed), list[str]()
    for number in range(kills):
        before = site.report_path(name).read_bytes() if site.report_path(name).exists() else b""
        process = site.start(name, config, ranks)
        if number % 3 == 0:
            where = _until(process, lambda: _half_saved(config.checkpoints))
        else:
            first = _until(process, lambda before=before: _step(site, name, before))
            wanted = int(first) + draw.randrange(1, 2 * config.spec.optimizer.checkpoint_every)
            where = _until(process, lambda wanted=wanted: _reached(site, name, wanted))
        os.kill(rank_pid(process.pid, draw.randrange(ranks)), signal.SIGKILL)
        assert process.wait() != 0, f"kill {number}: the stage had ended"
        fell.append(where)
    return fell


def _until(process: "subprocess.Popen[bytes]", there: Callable[[], str]) -> str:
    while not (found := there()):
        assert process.poll() is None, "the stage ended before it could be killed"
        time.sleep(_POLL_SECONDS)
    return found


def _half_saved(where: ArtifactRef) -> str:
    """The checkpoint whose files have begun to come and that is not marked whole."""
    names = {name for name in open_store(where).folders() if name.startswith("step")}
    half = names - {one.tag for one in complete_checkpoints(where)}
    return f"inside the save of {min(half)}" if half else ""


def _step(site: Site, name: str, before: bytes) -> str:
    """The step that a run tells, once it tells another report than `before`."""
    path = site.report_path(name)
    if not path.exists() or path.read_bytes() == before:
        return ""
    progress = site.report(name).progress
    return str(progress.step) if progress is not None and progress.step > 0 else ""


def _reached(site: Site, name: str, wanted: int) -> str:
    progress = site.report(name).progress
    return f"at step {progress.step}" if progress is not None and progress.step >= wanted else ""
