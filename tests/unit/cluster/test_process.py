"""A daemon is stopped only while it is the process that was started."""

import json
import os
import sys
from pathlib import Path

import pytest

from hack.cluster.errors import ClusterError
from hack.cluster.probe import wait
from hack.cluster.process import Daemon, identity

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_later_process_with_the_same_pid_is_not_stopped(tmp_path: Path) -> None:
    daemon = Daemon("sleeper", tmp_path)
    daemon.start(SLEEPER)
    pid = daemon.pid()
    assert pid is not None
    record = tmp_path / "pid" / "sleeper.json"
    genuine = record.read_text()
    record.write_text(json.dumps({**json.loads(genuine), "started": 1}))

    daemon.stop()

    alive = identity(pid) is not None
    record.write_text(genuine)
    daemon.stop()
    assert alive


def test_a_process_of_an_earlier_boot_is_not_taken_for_ours(tmp_path: Path) -> None:
    mine = identity(os.getpid())
    assert mine is not None
    (tmp_path / "pid").mkdir()
    (tmp_path / "pid" / "self.json").write_text(
        json.dumps({"pid": mine.pid, "started": mine.started, "boot": "another"})
    )

    assert Daemon("self", tmp_path).pid() is None


def test_starting_twice_starts_once(tmp_path: Path) -> None:
    daemon = Daemon("sleeper", tmp_path)
    daemon.start(SLEEPER)
    first = daemon.pid()

    daemon.start(SLEEPER)

    second = daemon.pid()
    daemon.stop()
    assert first == second


def test_a_daemon_that_dies_early_shows_its_last_words(tmp_path: Path) -> None:
    daemon = Daemon("failing", tmp_path)
    daemon.start([sys.executable, "-c", "input(); raise SystemExit('no such certificate')"])

    with pytest.raises(ClusterError, match="EOFError"):
        wait([daemon], lambda: False, 60)
