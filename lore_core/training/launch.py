"""Starting the ranks of a stage on this node: torchrun over several, a plain child process for one."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lore_core.jobs.errors import JobError
from lore_core.training.extensions import extension_environment, extension_folder, without_stale_locks

_WORKER: Final = "lore_core.training.worker"
DEFAULT_PORT: Final = 29500


@dataclass(frozen=True, slots=True)
class Topology:
    """Nodes of the stage, this node's index, ranks on each node, and where rank 0 listens."""

    nodes: int = 1
    node_rank: int = 0
    processes: int = 1
    master_address: str = "127.0.0.1"
    master_port: int = DEFAULT_PORT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Topology":
        """LORE_NODES, LORE_NPROC, LORE_MASTER_ADDR, LORE_MASTER_PORT and the Indexed Job's JOB_COMPLETION_INDEX.

        Raises JobError naming the variable. On one node a free port is taken, so that stages can run side by side.
        """
        nodes = _number(environment, "LORE_NODES", 1, least=1)
        address = environment.get("LORE_MASTER_ADDR", "127.0.0.1")
        if nodes > 1 and "LORE_MASTER_ADDR" not in environment:
            raise JobError("BadEnvironment", "LORE_MASTER_ADDR: needed with several nodes; name the host of node 0")
        return cls(
            nodes=nodes,
            node_rank=_number(environment, "JOB_COMPLETION_INDEX", 0, least=0),
            processes=_number(environment, "LORE_NPROC", 1, least=1),
            master_address=address,
            master_port=_number(environment, "LORE_MASTER_PORT", DEFAULT_PORT if nodes > 1 else _free_port(), least=1),
        )

    @property
    def world(self) -> int:
        """Ranks over all nodes."""
        return self.nodes * self.processes

    def command(self, arguments: Sequence[str]) -> list[str]:
        """What this node runs."""
        if self.world == 1:
            return [sys.executable, "-m", _WORKER, *arguments]
        return [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nnodes", str(self.nodes), "--node-rank", str(self.node_rank)),
            *("--nproc-per-node", str(self.processes)),
            *("--master-addr", self.master_address, "--master-port", str(self.master_port)),
            *("--max-restarts", "0", "--module", _WORKER, *arguments),
        ]

    def environment(self) -> dict[str, str]:
        """What a single rank needs beside the inherited environment; torchrun sets it for several."""
        if self.world > 1:
            return {}
        ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        return ranks | {"MASTER_ADDR": self.master_address, "MASTER_PORT": str(self.master_port)}


def run_ranks(topology: Topology, arguments: Sequence[str]) -> int:
    """Run this node's ranks to their end; a termination signal is passed on. Returns the exit status."""
    environment = {**os.environ, **topology.environment(), **extension_environment(os.environ)}
    with without_stale_locks(extension_folder(environment)):
        return _run(topology.command(arguments), environment)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    child = subprocess.Popen(command, env=environment)

    def pass_on(number: int, _frame: object) -> None:
        child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _number(environment: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise JobError("BadEnvironment", f"{name}: {text!r} is not a number of at least {least}")
    return int(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
