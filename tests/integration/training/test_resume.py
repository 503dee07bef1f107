"""A killed stage goes on from its last whole checkpoint and ends with the weights of an undisturbed run."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from lore_core.artifacts import ArtifactRef, open_store
from lore_core.jobs import Report
from lore_core.training.checkpoints import complete_checkpoints

from .conftest import Site

RANKS = 2
SFT: dict[str, Any] = {
    "kind": "sft",
    "optimizer": {"batch_size": 4, "max_steps": 120, "checkpoint_every": 20, "warmup_steps": 2},
    "selection": {"pairs": 16},
}


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
        time.sleep(0.02)  # polls a file of another process; nothing here depends on how long it takes
    os.kill(rank_pid(process.pid, rank), signal.SIGKILL)
    return process.wait()


def test_a_killed_stage_resumes_and_ends_with_the_same_weights(site: Site) -> None:
    undisturbed = site.config("undisturbed", SFT)
    site.run("undisturbed", undisturbed, RANKS)
    disturbed = site.config("disturbed", SFT)
    assert killed_after_a_checkpoint(site.start("disturbed", disturbed, RANKS), disturbed.checkpoints) != 0
    assert not open_store(disturbed.output).exists()
    newest = complete_checkpoints(disturbed.checkpoints)[0].step
    report = site.run("disturbed", disturbed, RANKS)
    assert report.summary["resumedFromStep"] == newest
    assert report.result is not None
    assert report.result.digest == open_store(undisturbed.output).manifest().digest


@pytest.mark.parametrize(("zero", "before", "after"), [(2, 2, 1), (2, 1, 2), (3, 2, 1)])
def test_a_stage_goes_on_with_another_number_of_ranks(site: Site, zero: int, before: int, after: int) -> None:
    """The optimizer's state comes along: the losses are those of the undisturbed run but for the order of sums."""
    name = f"zero{zero}-{before}-{after}"
    # Answers of one length: a rank's loss is a mean over its tokens, so the mean over ranks is the same however many they are.
    spec = {**SFT, "layout": "LabelFirst", "optimizer": {**SFT["optimizer"], "max_steps": 60}}
    undisturbed = site.run(f"{name}-whole", site.config(f"{name}-whole", spec, deepspeed={"zero_stage": zero}), before)
    config = site.config(name, spec, deepspeed={"zero_stage": zero})
    assert killed_after_a_checkpoint(site.start(name, config, before), config.checkpoints, before - 1) != 0
    newest = complete_checkpoints(config.checkpoints)[0].step

    report = site.run(name, config, after)

    assert report.summary["resumedFromStep"] == newest
    assert losses(report) == pytest.approx(losses(undisturbed), rel=1e-4)


def losses(report: Report) -> list[float]:
    return [value for _, value in report.summary["curves"]["loss"]]  # type: ignore[index, union-attr]


def test_a_suspended_stage_saves_before_it_ends(site: Site) -> None:
    # No checkpoint is due in these steps: the only one is that of the termination signal.
    spec = {**SFT, "optimizer": {**SFT["optimizer"], "max_steps": 100_000, "checkpoint_every": 100_000}}
    config = site.config("suspended", spec)
    process = site.start("suspended", config, RANKS)
    while not stepping(site):
        assert process.poll() is None
        time.sleep(0.02)  # polls a file of another process; nothing here depends on how long it takes
    process.terminate()
    assert process.wait() != 0
    saved = complete_checkpoints(config.checkpoints)[0]
    assert (saved.world_size, saved.step > 0) == (RANKS, True)


def stepping(site: Site) -> bool:
    path = site.report_path("suspended")
    progress = site.report("suspended").progress if path.exists() else None
    return progress is not None and progress.step > 0
