"""Stages that are killed while they train, at moments told by what appears in their checkpoint folder."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from lore_core.artifacts import ArtifactRef, open_store
from lore_core.jobs import TrainConfig
from lore_core.training.checkpoints import complete_checkpoints

from .site import Site

EVERY: Final = 5
"""Steps between two checkpoints of a stage that is to be killed."""
_STRETCH: Final = 6
"""Checkpoints among which one kill is drawn. As many follow the last stretch, so that a stage cannot end before its kill."""
_TICKS: Final = 20
"""Most hundredths of a second that a rank works on after a checkpoint before it is killed."""
_POLL_SECONDS: Final = 0.0005
"""Between looks at what other processes do; a save takes them some milliseconds."""
_START_SECONDS: Final = 0.1
"""Between looks for a process that is being started, which go through all processes."""
Found = TypeVar("Found")


class Kill(NamedTuple):
    """One that came: who was killed, and either inside the save of a step, or after that step's checkpoint was whole."""

    victim: str
    inside: bool
    step: int

    def __str__(self) -> str:
        return f"{self.victim} {'inside the save of' if self.inside else 'after'} step {self.step}"


def enough_steps(kills: int) -> int:
    """Steps of a stage that can be killed so often before it ends."""
    return EVERY * (_STRETCH * (kills + 1) + 1)


def killed_again_and_again(site: Site, name: str, config: TrainConfig, ranks: int, kills: int, seed: int) -> list[Kill]:
    """Start a stage and kill it, again and again: every third time inside a save, else some work after a checkpoint.

    Checkpoints, moments and victims (one rank, or everything at once as where a node goes) are drawn by name and seed.
    """
    draw, fell = random.Random(f"{name} {seed}"), list[Kill]()
    for number in range(kills):
        drawn = EVERY * (number * _STRETCH + draw.randint(1, _STRETCH))
        least = max(drawn, begun(config.checkpoints) + EVERY)  # one that this very run makes
        with running(site, name, config, ranks) as stage:
            if number % 3 == 1:
                fell.append(stage.killed_inside_a_save(least, draw.choice([None, 0])))
            else:
                victim = draw.choice([None, *range(ranks)])
                fell.append(stage.killed_after_a_checkpoint(least, victim, draw.randrange(_TICKS)))
        assert not open_store(config.output).exists(), f"{fell[-1]}: the stage had published its model"
    return fell


class Running(NamedTuple):
    """A stage that trains, and where its checkpoints come to lie."""

    process: "subprocess.Popen[bytes]"
    where: ArtifactRef

    def killed_after_a_checkpoint(self, least: int, victim: int | None, ticks: int) -> Kill:
        """Kill once the checkpoint of step `least` is whole and the victim has worked on, at the latest with the next one."""
        self._until(lambda: begun(self.where) >= least and whole(self.where) >= least)
        pid = self.rank(victim or 0)
        last = worked(pid) + ticks
        self._until(lambda: worked(pid) >= last or whole(self.where) > least)
        return self._kill(victim, inside=False)

    def killed_inside_a_save(self, least: int, victim: int | None) -> Kill:
        """Kill while a checkpoint has begun to come and is not marked whole, from step `least` on."""
        writer = self.rank(0)
        while True:
            self._until(lambda: begun(self.where) >= least and half(self.where))
            os.kill(writer, signal.SIGSTOP)
            self._until(lambda: state(writer) == "T")
            if half(self.where):
                return self._kill(victim, inside=True)
            os.kill(writer, signal.SIGCONT)  # the marker was there before it stopped: a later save then

    def rank(self, number: int) -> int:
        """The process of one rank, as soon as it is there: a descendant of the launcher with that RANK in its environment."""
        return self._until(lambda: next(self._of_rank(number), 0), _START_SECONDS)

    def end(self) -> list[int]:
        """SIGKILL to every process of the stage; returns which they were."""
        everything = [self.process.pid, *descendants(self.process.pid)]
        for pid in everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return everything

    def _of_rank(self, number: int) -> Iterator[int]:
        for pid in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                if f"RANK={number}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    yield pid

    def _until(self, there: Callable[[], Found], pause: float = _POLL_SECONDS) -> Found:
        while not (found := there()):
            assert self.process.poll() is None, "the stage ended before it could be killed"
            time.sleep(pause)
        return found

    def _kill(self, victim: int | None, *, inside: bool) -> Kill:
        assert self.process.poll() is None, "the stage ended before it could be killed"
        if victim is None:
            gone = self.end()
        else:
            gone = [self.rank(victim)]
            os.kill(gone[0], signal.SIGKILL)
        assert self.process.wait() != 0, "the stage ended before it could be killed"
        while any(state(pid) not in ("", "Z") for pid in gone):
            time.sleep(_POLL_SECONDS)  # what is killed last still holds the files that the next start writes
        step = begun(self.where) if inside else whole(self.where)
        return Kill("everything" if victim is None else f"rank {victim}", inside, step)


@contextlib.contextmanager
def running(site: Site, name: str, config: TrainConfig, ranks: int) -> Iterator[Running]:
    """A started stage; what the block leaves of it is killed, a rank that was held included."""
    stage = Running(site.start(name, config, ranks), config.checkpoints)
    try:
        yield stage
    finally:
        if stage.process.poll() is None:
            stage.end()
            stage.process.wait()


def killed_after_its_first_checkpoint(site: Site, name: str, config: TrainConfig, ranks: int, rank: int = 1) -> Kill:
    """Start a stage and kill one rank once there is something to go on from."""
    with running(site, name, config, ranks) as stage:
        return stage.killed_after_a_checkpoint(1, rank, 0)


def whole(where: ArtifactRef) -> int:
    """The newest step that can be gone on from, or 0."""
    found = complete_checkpoints(where)
    return found[0].step if found else 0


def begun(where: ArtifactRef) -> int:
    """The newest step of which anything has come, or 0."""
    folder = Path(urlsplit(where.uri).path)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name.removeprefix("step")) for name in names if name.startswith("step")), default=0)


def half(where: ArtifactRef) -> int:
    """The step whose checkpoint has begun to come and is not marked whole, or 0."""
    step = begun(where)  # before the marker is read, so that a checkpoint marked meanwhile is not taken for half
    return step if step > whole(where) else 0


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they started."""
    children = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        children["".join(stat(path)[1:2])].append(int(path.parent.name))
    found = [pid]
    for parent in found:
        found += children[str(parent)]
    return found[1:]


def state(pid: int) -> str:
    """T where it is stopped, Z where nobody has asked for its end; nothing where it is gone."""
    return next(iter(stat(Path(f"/proc/{pid}/stat"))), "")


def worked(pid: int) -> int:
    """Hundredths of a second that a process has computed."""
    user, system = stat(Path(f"/proc/{pid}/stat"))[11:13]
    return int(user) + int(system)


def stat(path: Path) -> list[str]:
    """Linux's words about a process from its state on (proc_pid_stat(5)); none where it is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
