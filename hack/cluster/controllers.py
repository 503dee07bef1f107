"""Kueue's and JobSet's controllers beside a control plane, as processes: their kinds, webhooks and configuration.

The API server reaches their webhooks on loopback, not through a Service: without a node nothing stands behind one. Both act as
the administrator, since their own rights are not what is looked at.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from hack.cluster import files, ports, probe, tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.pki import Authority
from hack.cluster.process import Daemon

_LOOPBACK: Final = "127.0.0.1"
_READY_SECONDS: Final = 240.0
_CERTIFICATES: Final = "/etc/kueue/metrics/certs"
_ALONE: Final = f'mount -t tmpfs tmpfs /etc && mkdir -p {_CERTIFICATES} && cp "$0"/tls.* {_CERTIFICATES}/ && exec "$@"'
"""Kueue reads a certificate from this one path where it makes none itself: it gets an /etc of its own (needs root)."""


class Program(NamedTuple):
    """One controller: its module, its configuration's type, what else it is told, and the groups whose webhooks it serves."""

    name: str
    api_version: str
    settings: Mapping[str, Any]
    groups: frozenset[str]
    enter: tuple[str, ...] = ()


JOBSET: Final = Program("jobset", "config.jobset.x-k8s.io/v1alpha1", {}, frozenset({"jobset.x-k8s.io"}))
KUEUE: Final = Program(
    "kueue",
    "config.kueue.x-k8s.io/v1beta2",
    {
        "integrations": {"frameworks": ["batch/job", "jobset.x-k8s.io/jobset"]},
        "featureGates": {"VisibilityOnDemand": False},  # an API server of its own, which nobody asks here
    },
    frozenset({"kueue.x-k8s.io", "batch", "jobset.x-k8s.io"}),
    enter=("unshare", "--mount", "sh", "-c", _ALONE),
)


@dataclass(frozen=True)
class Controller:
    """One of them, for one control plane."""

    program: Program
    plane: ControlPlane

    @property
    def daemon(self) -> Daemon:
        """The process."""
        return Daemon(f"{self.program.name}-manager", self.plane.directory)

    def start(self) -> None:
        """Start it; returns when its webhooks answer and are registered."""
        manifests, folder = tools.manifests(self.program.name), self._certificates()
        self.plane.kubectl.apply_definitions(sorted((manifests / "crd" / "bases").glob("*.yaml")))
        with ports.claim(2) as (health, webhook):
            self.daemon.start(self._command(folder, health, webhook), {"KUBECONFIG": str(self.plane.kubeconfig)})
            answers = f"http://{_LOOPBACK}:{health}/readyz"
            probe.wait([self.daemon], lambda: probe.answers(answers), _READY_SECONDS)
        self.plane.kubectl.apply(*self._webhooks(manifests / "webhook" / "manifests.yaml", webhook))

    def stop(self) -> None:
        """Stop it; its kinds and webhooks stay."""
        self.daemon.stop()

    @property
    def _authority(self) -> Authority:
        return Authority(self.plane.directory / "pki")

    def _certificates(self) -> Path:
        folder = self.plane.directory / self.program.name
        serving = self._authority.server(f"{self.program.name}-webhook", (_LOOPBACK, "localhost"))
        for name, source in (("tls.crt", serving.certificate), ("tls.key", serving.key)):
            files.write(folder / name, source.read_bytes(), 0o600)
        return folder

    def _command(self, folder: Path, health: int, webhook: int) -> Sequence[str | Path]:
        configuration = {
            "apiVersion": self.program.api_version,
            "kind": "Configuration",
            "health": {"healthProbeBindAddress": f"{_LOOPBACK}:{health}"},
            "metrics": {"bindAddress": "0"},
            "webhook": {"host": _LOOPBACK, "port": webhook, "certDir": str(folder)},
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
            **self.program.settings,
        }
        file = folder / "configuration.yaml"
        files.write(file, json.dumps(configuration))
        enter: tuple[str | Path, ...] = (*self.program.enter, folder) if self.program.enter else ()
        return [*enter, tools.require(f"{self.program.name}-manager"), f"--config={file}"]

    def _webhooks(self, file: Path, port: int) -> Iterable[dict[str, Any]]:
        """The shipped registrations of the groups that are looked at."""
        bundle = base64.b64encode(self._authority.certificate.read_bytes()).decode()
        for registration in self.plane.kubectl.read(file):
            kept = [hook for hook in registration["webhooks"] if self._is_ours(hook)]
            for hook in kept:
                path = hook["clientConfig"]["service"]["path"]
                hook["clientConfig"] = {"url": f"https://{_LOOPBACK}:{port}{path}", "caBundle": bundle}
            metadata = {"name": f"{self.program.name}-{registration['metadata']['name']}"}
            yield {**registration, "metadata": metadata, "webhooks": kept}

    def _is_ours(self, hook: Mapping[str, Any]) -> bool:
        return all(group in self.program.groups for rule in hook["rules"] for group in rule["apiGroups"])
