"""Flux's source- and kustomize-controller beside a control plane, as processes: what `deploy/flux` is for.

Both act as the administrator, since their own rights are not what is looked at, and tell nobody of events: notification-controller
does not run.
"""

from dataclasses import dataclass
from typing import Final

from hack.cluster import ports, probe, tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.process import Daemon

_LOOPBACK: Final = "127.0.0.1"
_READY_SECONDS: Final = 240.0
_MODULES: Final = ("flux-source", "flux-kustomize")
_ALONE: Final = ("--metrics-addr=0", "--watch-all-namespaces", "--enable-leader-election=false", "--events-addr=")
_WAVES: Final = ("--requeue-dependency=1s", "--feature-gates=CancelHealthCheckOnNewRevision=true")
"""A wave looks at the one before it each second, not every 30; a new commit does not wait for the health of the one before."""


@dataclass(frozen=True)
class Flux:
    """Both controllers, for one control plane."""

    plane: ControlPlane

    @property
    def daemons(self) -> tuple[Daemon, Daemon]:
        """The processes: source-controller, kustomize-controller."""
        return self._daemon("source-controller"), self._daemon("kustomize-controller")

    def start(self) -> None:
        """Serve their kinds and start both; returns when they are ready."""
        for module in _MODULES:
            self.plane.kubectl.apply_definitions(sorted(tools.manifests(module).glob("*.yaml")))
        source, kustomize = self.daemons
        with ports.claim(3) as (storage, *health):
            address = f"{_LOOPBACK}:{storage}"
            folder = self.plane.directory / "flux"
            folder.mkdir(exist_ok=True)
            stored = (f"--storage-path={folder}", f"--storage-addr={address}", f"--storage-adv-addr={address}")
            self._run(source, health[0], *stored, "--requeue-dependency=1s")
            self._run(kustomize, health[1], *_WAVES)

    def stop(self) -> None:
        """Stop both; their kinds and objects stay."""
        for daemon in reversed(self.daemons):
            daemon.stop()

    def _daemon(self, name: str) -> Daemon:
        return Daemon(name, self.plane.directory)

    def _run(self, daemon: Daemon, health: int, *more: str) -> None:
        flags = (*_ALONE, f"--health-addr={_LOOPBACK}:{health}", *more)
        daemon.start((str(tools.require(daemon.name)), *flags), {"KUBECONFIG": str(self.plane.kubeconfig)})
        probe.wait([daemon], lambda: probe.answers(f"http://{_LOOPBACK}:{health}/readyz"), _READY_SECONDS)
