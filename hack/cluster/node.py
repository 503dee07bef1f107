"""The node profile: a control plane, one node that runs pods, KServe, shared volumes and an S3 endpoint."""

import hashlib
from pathlib import Path

from hack.cluster import files, host
from hack.cluster.errors import ClusterError
from hack.cluster.kserve import KServe
from hack.cluster.kubelet import NodeComponents
from hack.cluster.network import NODE_ADDRESS, Network
from hack.cluster.plane import Plane, Ports
from hack.cluster.process import Daemon
from hack.cluster.runtime import Containerd
from hack.cluster.storage import ObjectStore

# Inside a network namespace of its own every port is free.
_PORTS = Ports(etcd=2379, etcd_peer=2380, apiserver=6443, controllers=10257, scheduler=10259)


class Node:
    """One cluster with one node, in a network namespace that the machine has a route into.

    Args:
        directory: holds the images (`images/`, kept by `delete`) and the state of the running cluster (`run/`).
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        run = directory / "run"
        self.network = Network(f"lore-{hashlib.sha256(str(directory).encode()).hexdigest()[:6]}")
        self.plane = Plane(run, NODE_ADDRESS, _PORTS, enter=self.network.enter, kubelets=True)
        self.containerd = Containerd(directory, self.network.enter)
        self.components = NodeComponents(self.plane, self.containerd)
        self.kserve = KServe(self.plane)
        self.store = ObjectStore(self.plane)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; it works from the machine itself."""
        return self.plane.kubeconfig

    def daemons(self) -> list[Daemon]:
        """All processes in the order in which they start."""
        extras = [self.kserve.daemon, self.store.daemon]
        return [*self.plane.daemons(), self.containerd.daemon, *self.components.daemons(), *extras]

    def start(self) -> None:
        """Start what does not run; returns when the node is Ready and KServe and the S3 endpoint answer."""
        self.check()
        with files.exclusive(self.directory):
            files.take(self.plane.directory)
            self.network.up()
            self.plane.start()
            self.containerd.start()
            self.components.start()
            self.store.start()
            self.kserve.start()

    def check(self) -> None:
        """Raise an error that names everything this machine lacks."""
        host.check(self.directory, self.containerd.socket, self.components.daemons()[0].pid())

    def delete(self) -> None:
        """Stop everything, unmount and delete all but the images."""
        with files.exclusive(self.directory):
            if files.is_ours(self.plane.directory):
                self._stop()
                files.delete(self.plane.directory)

    def _stop(self) -> None:
        self.kserve.daemon.stop()
        self.store.daemon.stop()
        self.components.stop()
        self.containerd.stop()
        self.plane.stop()
        self.network.down()
        _remove_cgroups()
        _remove_log_links(self.plane.directory)

    def is_running(self) -> bool:
        """Whether any part of it runs."""
        return any(daemon.pid() for daemon in self.daemons())

    def require_running(self) -> None:
        """Raise unless images can be loaded and volumes prepared."""
        if self.containerd.daemon.pid() is None:
            raise ClusterError("the node is not up; run: python -m hack.cluster up --profile node")


def _remove_cgroups() -> None:
    """The kubelet's groups, now empty, the deepest first; one that still holds a process stays."""
    folders = {path for path in Path("/sys/fs/cgroup").glob("**/kubepods/**/") if path.is_dir()}
    for folder in sorted(folders, reverse=True):
        try:
            folder.rmdir()
        except OSError:
            continue


def _remove_log_links(directory: Path) -> None:
    """The kubelet links pod logs from a folder that is nobody's in particular."""
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(directory):
            link.unlink()
