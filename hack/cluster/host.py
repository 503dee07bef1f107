"""What a node needs of the machine, all of it checked before anything is changed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.paths import SEARCH
from hack.cluster.process import running

CNI_PLUGINS = Path("/usr/lib/cni")
_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "conntrack": "conntrack",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "busybox": "busybox-static",
}
_LONGEST_SOCKET = 107
_LEAST_FREE = 4 * 2**30
"""Bytes for logs and pods. With less than a hundredth of the disk the kubelet takes no pod at all."""


def check(directory: Path, socket: Path, own_kubelet: int | None) -> None:
    """Raise one error that names everything in the way of a node, with the remedy."""
    problems = list(_problems(directory, socket, own_kubelet))
    if problems:
        raise ClusterError("this machine cannot run the node profile yet:\n- " + "\n- ".join(problems))


def _problems(directory: Path, socket: Path, own_kubelet: int | None) -> Iterator[str]:
    if os.geteuid() != 0:
        yield "it needs root (network namespaces, mounts, cgroups): run the same command with sudo"
    if packages := _missing_packages():
        yield f"Debian packages are missing: apt-get install {' '.join(packages)}"
    if len(str(socket)) > _LONGEST_SOCKET:
        yield f"{directory} is too long a path for a socket in it: set LORE_CLUSTER_DIR to a shorter one"
    if own_kubelet is None and (free := _free(directory)) < _LEAST_FREE:
        yield f"only {free / 2**30:.1f} GiB are free on the disk of {directory}: free some, or set LORE_CLUSTER_DIR"
    for process in running():
        # Two kubelets take each other's pods for orphans and kill them.
        if process.name == "kubelet" and process.pid != own_kubelet:
            yield f"another kubelet runs here (pid {process.pid}): stop it, or name its cluster with KUBECONFIG"


def _free(directory: Path) -> int:
    """Bytes that are free where the directory is or will be."""
    there = next(folder for folder in (directory, *directory.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _missing_packages() -> list[str]:
    missing = {package for program, package in _PROGRAMS.items() if shutil.which(program, path=SEARCH) is None}
    if not (CNI_PLUGINS / "bridge").exists() or not (CNI_PLUGINS / "host-local").exists():
        missing.add("containernetworking-plugins")
    return sorted(missing)
