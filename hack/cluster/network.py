"""The node's network namespace and the link by which the machine reaches what is inside.

    machine  10.244.255.1 --veth-- 10.244.255.2  namespace  cni0 10.244.0.1/24 -- pods 10.244.0.10 and up

The machine routes the pod and Service ranges over the link, so every process on it reaches the API server, pods and
Services by their addresses; kube-proxy inside the namespace does the rest.
"""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.command import run
from hack.cluster.errors import ClusterError
from hack.cluster.plane import SERVICE_RANGE

BRIDGE = "cni0"
NODE_ADDRESS = "10.244.0.1"
POD_RANGE = "10.244.0.0/24"
FIRST_POD = "10.244.0.10"
# Processes on the machine have this address inside the cluster; pods can reach them by it.
MACHINE_ADDRESS = "10.244.255.1"
_LINK_RANGE = "10.244.255.0/30"
_LINK_NODE = "10.244.255.2"
_NAMESPACES = Path("/run/netns")


@dataclass(frozen=True)
class Network:
    """One network namespace, known by its name (at most 11 characters: a link's name has at most 15)."""

    name: str

    @property
    def enter(self) -> tuple[str, ...]:
        """The command prefix that runs a program inside; `ip netns exec` would remount /sys and hide the cgroups."""
        return ("nsenter", f"--net={_NAMESPACES / self.name}", "--")

    @property
    def _outer(self) -> str:
        return f"{self.name}-out"

    def up(self) -> None:
        """Create the namespace, its bridge, the link and the routes, unless they are there."""
        if self.exists() and _routes_over(self._outer):
            return
        self.down()
        _refuse_overlap()
        run("ip", "netns", "add", self.name)
        self._inside("ip", "link", "set", "lo", "up")
        self._inside("ip", "link", "add", BRIDGE, "type", "bridge")
        self._inside("ip", "address", "add", f"{NODE_ADDRESS}/24", "dev", BRIDGE)
        self._inside("ip", "link", "set", BRIDGE, "up")
        # kube-proxy rewrites a Service's address only after a route for it was found.
        self._inside("ip", "route", "add", "default", "dev", BRIDGE)
        self._inside("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self._link()

    def down(self) -> None:
        """Delete the link, and with it the machine's routes, and the namespace."""
        # First: what is in a deleted namespace goes only when the kernel comes to it.
        if (Path("/sys/class/net") / self._outer).exists():
            run("ip", "link", "delete", self._outer)
        if self.exists():
            run("ip", "netns", "delete", self.name)
        # After a reboot the name may still be there as an empty file.
        (_NAMESPACES / self.name).unlink(missing_ok=True)
        # The first `ip netns add` of a machine mounts this folder on itself.
        if _is_mounted(_NAMESPACES) and not any(_NAMESPACES.iterdir()):
            run("umount", _NAMESPACES)

    def exists(self) -> bool:
        """Whether the namespace is there."""
        return _is_mounted(_NAMESPACES / self.name)

    def _link(self) -> None:
        inner = f"{self.name}-in"
        run("ip", "link", "add", self._outer, "type", "veth", "peer", "name", inner)
        run("ip", "link", "set", inner, "netns", self.name)
        self._inside("ip", "address", "add", f"{_LINK_NODE}/30", "dev", inner)
        self._inside("ip", "link", "set", inner, "up")
        run("ip", "address", "add", f"{MACHINE_ADDRESS}/30", "dev", self._outer)
        run("ip", "link", "set", self._outer, "up")
        for destination in (SERVICE_RANGE, POD_RANGE):
            run("ip", "route", "add", destination, "via", _LINK_NODE, "dev", self._outer)

    def _inside(self, *command: str) -> None:
        run(*self.enter, *command)


def _is_mounted(path: Path) -> bool:
    # Path.is_mount does not see a folder mounted on itself.
    return str(path) in {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def _routes_over(device: str) -> bool:
    return any(route.get("dev") == device and route["dst"] == POD_RANGE for route in _routes())


def _routes() -> list[dict[str, str]]:
    routes: list[dict[str, str]] = json.loads(run("ip", "-json", "-4", "route", "show"))
    return routes


def _refuse_overlap() -> None:
    wanted = [ipaddress.ip_network(text) for text in (SERVICE_RANGE, POD_RANGE, _LINK_RANGE)]
    for route in _routes():
        if route["dst"] == "default":
            continue
        there = ipaddress.ip_network(route["dst"])
        if any(there.overlaps(mine) for mine in wanted):
            raise ClusterError(
                f"the route {route['dst']} dev {route.get('dev')} overlaps the node's {SERVICE_RANGE}, {POD_RANGE} or "
                f"{_LINK_RANGE}: another cluster runs here; stop it, or name it with KUBECONFIG"
            )
