"""The control-plane profile: a Kubernetes API with its controllers on loopback, no root, several side by side."""

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from hack.cluster import audit, files, ports, tools
from hack.cluster.kubectl import Kubectl
from hack.cluster.paths import cache_root
from hack.cluster.plane import Plane, Ports
from hack.cluster.process import Daemon, Identity, identity

_LOOPBACK = "127.0.0.1"


class ControlPlane:
    """etcd, API server, controller manager and scheduler on free loopback ports.

    As a context manager it starts on entry, and on exit stops and deletes its folder:

        with ControlPlane.temporary(definitions=sorted(Path("crds").glob("*.yaml"))) as control_plane:
            subprocess.run(["kubectl", f"--kubeconfig={control_plane.kubeconfig}", "get", "namespaces"])

    Args:
        directory: where its whole state lies; a directory that was used before and is stopped starts again with the
            same data and ports.
        definitions: CRD files to apply; their kinds are served when `start` returns.
    """

    def __init__(self, directory: Path, definitions: Sequence[Path] = ()) -> None:
        self.directory = directory
        self._definitions = definitions

    @classmethod
    def temporary(cls, definitions: Sequence[Path] = ()) -> Self:
        """One for the life of this process; what killed processes left behind is cleaned up first."""
        folder = cache_root() / "temporary"
        _sweep(folder)
        directory = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        files.take(directory)
        files.write(directory / "owner.json", json.dumps(asdict(_own_identity())))
        return cls(directory, definitions)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.delete()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.delete()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "admin.kubeconfig"

    @property
    def etcd(self) -> str:
        """Where its etcd listens, once it has started."""
        return f"http://{_LOOPBACK}:{json.loads((self.directory / 'ports.json').read_text())['etcd']}"

    @property
    def audit_log(self) -> Path:
        """What ServiceAccounts asked the API server for, one JSON object a line (see `hack.cluster.audit`)."""
        return self.directory / audit.LOG

    @property
    def kubectl(self) -> Kubectl:
        """The pinned kubectl as the administrator."""
        return Kubectl(tools.require("kubectl"), self.kubeconfig)

    def start(self) -> None:
        """Start what does not run; returns when the API serves and namespaces have their ServiceAccount."""
        files.take(self.directory)
        record = self.directory / "ports.json"
        if record.exists():
            self._plane(Ports(**json.loads(record.read_text()))).start(self._definitions)
            return
        with ports.claim(5) as free:
            chosen = Ports(*free)
            files.write(record, json.dumps(asdict(chosen)))
            self._plane(chosen).start(self._definitions)

    def delete(self) -> None:
        """Stop everything and delete the folder."""
        for daemon in reversed(self.daemons()):
            daemon.stop()
        files.delete(self.directory)

    def daemons(self) -> list[Daemon]:
        """The components in the order in which they start."""
        return self._plane(Ports(0, 0, 0, 0, 0)).daemons()

    def _plane(self, chosen: Ports) -> Plane:
        return Plane(self.directory, _LOOPBACK, chosen)


def _own_identity() -> Identity:
    mine = identity(os.getpid())
    if mine is None:
        raise RuntimeError("/proc does not list this process")
    return mine


def _sweep(folder: Path) -> None:
    """Delete temporary control planes whose process is gone; one sweeper at a time, since several may start together."""
    with files.exclusive(folder):
        for record in folder.glob("*/owner.json"):
            owner = Identity(**json.loads(record.read_text()))
            if identity(owner.pid) != owner:
                ControlPlane(record.parent).delete()
