"""containerd: its configuration, its images, and leaving nothing of it behind."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import files, images, probe
from hack.cluster.command import run
from hack.cluster.errors import ClusterError
from hack.cluster.host import CNI_PLUGINS
from hack.cluster.network import BRIDGE, FIRST_POD, POD_RANGE
from hack.cluster.process import Daemon, Running, running

_READY_SECONDS = 60.0
_CLEARED_SECONDS = 60.0
# The kubelet's, not the kernel's and not Kubernetes': containerd's own division of its containers.
_NAMESPACE = "k8s.io"


@dataclass(frozen=True)
class Containerd:
    """containerd with images that outlive the cluster (`images/`) and all else inside the cluster's run folder.

    Attributes:
        directory: the cluster's folder.
        enter: the command that enters the node's network namespace.
    """

    directory: Path
    enter: tuple[str, ...]

    @property
    def daemon(self) -> Daemon:
        """The process."""
        return Daemon("containerd", self.directory / "run")

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.directory / "run" / "containerd.sock"

    @property
    def _images(self) -> Path:
        return self.directory / "images"

    @property
    def _state(self) -> Path:
        return self.directory / "run" / "containerd"

    def start(self) -> None:
        """Start it, with the pause image loaded."""
        if self.daemon.pid() is None:
            self._clear_dead()
            self.daemon.start([*self.enter, "containerd", "--config", self._configure()])
            probe.wait([self.daemon], self._answers, _READY_SECONDS)
        self.import_image(images.busybox_archive())

    def import_image(self, archive: Path) -> list[str]:
        """Load an OCI archive's images unless the very same are there; returns their names."""
        wanted = images.archive_content(archive)
        if not wanted:
            raise ClusterError(f"{archive}: no image in it")
        present = self.images()
        if any(present.get(name) != digest for name, digest in wanted.items()):
            self._ctr("images", "import", str(archive))
        return sorted(wanted)

    def images(self) -> dict[str, str]:
        """The loaded images' names and manifest digests."""
        rows = [line.split() for line in self._ctr("images", "list").splitlines()[1:]]
        return {row[0]: row[2] for row in rows}

    def process(self, container: str) -> int:
        """Process id, on this machine, of a running container's first process."""
        rows = [line.split() for line in self._ctr("tasks", "list").splitlines()[1:]]
        found = [int(row[1]) for row in rows if row[0] == container]
        if not found:
            raise ClusterError(f"container {container} does not run on the node")
        return found[0]

    def stop(self) -> None:
        """Kill all containers, stop, unmount what they left. The images stay."""
        if self.daemon.pid() is not None:
            self._kill_containers()
            probe.wait_for("containerd forgets the pods", self._remove_containers, _CLEARED_SECONDS)
        self.daemon.stop()
        self._clear_dead()

    def _remove_containers(self) -> bool:
        """Delete what can be deleted now; True when no container is left."""
        left = self._ctr("containers", "list", "--quiet").split()
        for container in left:
            # containerd refuses while it still clears up after the killed processes.
            with contextlib.suppress(ClusterError):
                self._ctr("containers", "delete", container)
        return not left

    def _kill_containers(self) -> None:
        shims = list(self._shims())
        for pid in _family(shim.pid for shim in shims):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for shim in shims:
            self._remove_traces(shim.arguments[shim.arguments.index("-id") + 1])

    def _remove_traces(self, pod: str) -> None:
        """What is kept of a pod outside the cluster's folder: its shim's socket, and CNI's memory of it."""
        named = hashlib.sha256(f"{self.socket}/{_NAMESPACE}/{pod}".encode()).hexdigest()
        (Path("/run/containerd/s") / named).unlink(missing_ok=True)
        for record in Path("/var/lib/cni/results").glob(f"*-{pod}-*"):
            record.unlink(missing_ok=True)

    def _clear_dead(self) -> None:
        """What a killed containerd, or a reboot, left: shims with their containers, mounts, leases of addresses."""
        self._kill_containers()
        for folder in (self.directory / "run", self._images):
            unmount_below(folder)
        for folder in (self._state, self.directory / "run" / "addresses"):
            shutil.rmtree(folder, ignore_errors=True)

    def _shims(self) -> Iterator[Running]:
        for process in running():
            if process.arguments[0].endswith("containerd-shim-runc-v2") and str(self.socket) in process.arguments:
                yield process

    def _answers(self) -> bool:
        try:
            return bool(self._ctr("version"))
        except ClusterError:
            return False

    def _ctr(self, *arguments: str) -> str:
        return run("ctr", f"--address={self.socket}", f"--namespace={_NAMESPACE}", *arguments)

    def _configure(self) -> Path:
        networks = self.directory / "run" / "cni"
        files.write(networks / "10-lore.conflist", json.dumps(self._cni()))
        return files.write(self.directory / "run" / "containerd.toml", self._toml(networks))

    def _toml(self, networks: Path) -> str:
        # A JSON string is a TOML string.
        paths = (self._images, self._state, self.socket, CNI_PLUGINS, networks, self._state / "runc")
        root, state, socket, plugins, configured, runc = (json.dumps(str(path)) for path in paths)
        return f"""\
version = 2
root = {root}
state = {state}
[grpc]
  address = {socket}
[plugins."io.containerd.grpc.v1.cri"]
  # Where the score of containerd itself may not be lowered, runc dies without this.
  restrict_oom_score_adj = true
  # Namespaces of pods where only this cluster's are.
  netns_mounts_under_state_dir = true
  sandbox_image = {json.dumps(images.BUSYBOX)}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    Root = {runc}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {plugins}
    conf_dir = {configured}
"""

    def _cni(self) -> dict[str, object]:
        addresses = {
            "type": "host-local",
            "dataDir": str(self.directory / "run" / "addresses"),
            "ranges": [[{"subnet": POD_RANGE, "rangeStart": FIRST_POD}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addresses}
        return {"cniVersion": "0.4.0", "name": "lore-node", "plugins": [bridge]}


def unmount_below(directory: Path) -> None:
    """Unmount everything mounted inside the folder, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # mountinfo writes a space as \\040.
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    for point in sorted((point for point in points if Path(point).is_relative_to(directory)), reverse=True):
        run("umount", "--lazy", point)


def _family(pids: Iterable[int]) -> list[int]:
    """The processes and all their descendants, ancestors first."""
    parents = {process.pid: process.parent for process in running()}
    family = list(pids)
    for pid in family:
        family.extend(child for child, parent in parents.items() if parent == pid)
    return family
