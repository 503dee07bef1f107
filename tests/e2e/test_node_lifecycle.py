"""The node comes, goes, and leaves nothing but its images."""

import os
import signal
from pathlib import Path

from cluster import manifests

from hack.cluster import files, storage
from hack.cluster.command import run
from hack.cluster.images import BUSYBOX
from hack.cluster.node import Node
from hack.cluster.probe import wait_for
from hack.cluster.process import identity, running

# Where containerd, runc and CNI keep something of every pod, whoever's it is.
_TRACES = ("/run/containerd/s", "/run/containerd/runc/k8s.io", "/var/lib/cni/results", "/var/log/containers")


def traces() -> set[Path]:
    return {path for folder in _TRACES for path in Path(folder).glob("*")}


def start_pod(node: Node) -> None:
    """A pod that keeps running with a volume, a token and its own network namespace."""
    node.plane.kubectl.apply(*storage.volume(node.plane.directory, "default", "kept"))
    mount = {"volumeMounts": [{"name": "kept", "mountPath": "/kept"}]}
    volumes = [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}]
    container = manifests.container(BUSYBOX, "exec sleep 3600", **mount)
    spec = {**manifests.pod_spec([container], volumes=volumes), "restartPolicy": "Always"}
    node.plane.kubectl.apply(manifests.pod("default", "kept", spec))
    node.plane.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/kept")


def lose_all_processes(node: Node) -> None:
    """As a power cut does: nothing gets a chance to clean up."""
    socket = str(node.containerd.socket)
    shims = [process.pid for process in running() if socket in process.arguments]
    family = set(shims)
    for process in sorted(running(), key=lambda process: process.pid):
        if process.parent in family:
            family.add(process.pid)
    family |= {pid for daemon in node.daemons() if (pid := daemon.pid())}
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    wait_for("the killed processes are gone", lambda: not any(identity(pid) for pid in family), 60)


def left_over(node: Node) -> list[str]:
    """What of the node is still on the machine, its images apart."""
    inside = str(node.directory)
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if inside in line]
    processes = [" ".join(process.arguments) for process in running() if inside in " ".join(process.arguments)]
    links = [line for line in run("ip", "-oneline", "link").splitlines() if node.network.name in line]
    spaces = [line for line in run("ip", "netns", "list").splitlines() if node.network.name in line]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob("**/kubepods")]
    state = [str(path) for path in node.directory.iterdir() if path.name not in {"images", ".lock"}]
    return mounts + processes + links + spaces + groups + state


def test_nothing_is_left_after_the_end(stopped_node: Node) -> None:
    before = traces()
    stopped_node.start()
    start_pod(stopped_node)

    stopped_node.delete()

    assert (left_over(stopped_node), traces() - before) == ([], set())


def test_images_need_not_be_loaded_again(stopped_node: Node) -> None:
    containerd = stopped_node.containerd
    files.take(stopped_node.plane.directory)
    stopped_node.network.up()
    containerd.start()
    kept = "localhost/kept:1"
    run("ctr", f"--address={containerd.socket}", "--namespace=k8s.io", "images", "tag", "--force", BUSYBOX, kept)
    digest = containerd.images()[kept]
    stopped_node.delete()
    files.take(stopped_node.plane.directory)
    stopped_node.network.up()

    containerd.start()

    still = containerd.images()[kept]
    run("ctr", f"--address={containerd.socket}", "--namespace=k8s.io", "images", "delete", kept)
    assert still == digest


def test_a_node_that_lost_all_its_processes_starts_again_with_its_pods(stopped_node: Node) -> None:
    stopped_node.start()
    start_pod(stopped_node)
    lose_all_processes(stopped_node)
    stopped_node.network.down()

    stopped_node.start()

    kubectl = stopped_node.plane.kubectl
    kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/kept")
    assert kubectl("exec", "kept", "--", "cat", "/proc/uptime")


def test_nothing_is_left_of_a_node_that_lost_all_its_processes(stopped_node: Node) -> None:
    stopped_node.start()
    start_pod(stopped_node)
    lose_all_processes(stopped_node)

    stopped_node.delete()

    assert left_over(stopped_node) == []
