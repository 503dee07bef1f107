"""Storage for pods: volumes that many may write at once, and an S3 endpoint with TLS from the cluster's authority."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import files, probe, tools
from hack.cluster.network import NODE_ADDRESS
from hack.cluster.plane import Plane
from hack.cluster.process import Daemon

# The user that the project's pods run as. fsGroup does not apply to a hostPath volume: the folder must be theirs.
POD_USER = 65532
BUCKET = "lore"
REGION = "us-east-1"
NAMESPACE = "lore-storage"
HOST = f"s3.{NAMESPACE}.svc.cluster.local"
_PORT = 7443
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class ObjectStore:
    """An S3 gateway over a folder, at one address for pods and for the machine."""

    plane: Plane

    @property
    def daemon(self) -> Daemon:
        """The process."""
        return Daemon("versitygw", self.plane.directory)

    @property
    def endpoint(self) -> str:
        """The url, which pods and the machine can both use."""
        return f"https://{NODE_ADDRESS}:{_PORT}"

    def start(self) -> None:
        """Start it with one bucket; pods reach it by name as well."""
        folder = self.plane.directory / "s3"
        (folder / BUCKET).mkdir(parents=True, exist_ok=True)
        serving = self.plane.authority.server("s3", (HOST, f"s3.{NAMESPACE}.svc", NODE_ADDRESS))
        access, secret = self._credentials()
        self.daemon.start(
            [
                *self.plane.enter,
                tools.require("versitygw"),
                f"--port={NODE_ADDRESS}:{_PORT}",
                f"--cert={serving.certificate}",
                f"--key={serving.key}",
                f"--region={REGION}",
                "--health=/health",
                "--quiet",
                "posix",
                str(folder),
            ],
            # Not as arguments: every user of the machine may read those.
            {"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret},
        )
        health = f"{self.endpoint}/health"
        probe.wait([self.daemon], lambda: probe.answers(health, self.plane.authority.certificate), _READY_SECONDS)
        self.plane.kubectl.apply(*_service())

    def secret(self, namespace: str, name: str) -> dict[str, object]:
        """A Secret with everything a client needs."""
        access, secret = self._credentials()
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {
                "endpoint": self.endpoint,
                "region": REGION,
                "ca.crt": self.plane.authority.certificate.read_text(),
                "accessKeyId": access,
                "secretAccessKey": secret,
            },
        }

    def _credentials(self) -> tuple[str, str]:
        file = self.plane.directory / "s3-credentials"
        if not file.exists():
            files.write(file, f"lore{secrets.token_hex(6)} {secrets.token_hex(20)}", 0o600)
        access, secret = file.read_text().split()
        return access, secret


def volume(directory: Path, namespace: str, claim: str) -> list[dict[str, object]]:
    """Prepare a folder and return the volume over it and the claim that gets it.

    Any number of pods may mount the claim for reading and writing, as the user 65532.

    Args:
        directory: the cluster's run folder, on the node.
        namespace: where the claim will be.
        claim: the claim's name.
    """
    folder = directory / "volumes" / namespace / claim
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, POD_USER, POD_USER)
    # Not a limit: a folder has none.
    capacity, modes = {"storage": "100Gi"}, ["ReadWriteMany"]
    name = f"{namespace}-{claim}"
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": capacity,
                "accessModes": modes,
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "claimRef": {"namespace": namespace, "name": claim},
                "hostPath": {"path": str(folder), "type": "Directory"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace},
            "spec": {
                "accessModes": modes,
                "storageClassName": "",
                "volumeName": name,
                "resources": {"requests": capacity},
            },
        },
    ]


def _service() -> list[dict[str, object]]:
    """A Service without a selector, and the endpoint it stands for: a process on the node."""
    labels = {"kubernetes.io/service-name": "s3"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s3", "namespace": NAMESPACE},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": _PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "s3", "namespace": NAMESPACE, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": _PORT, "protocol": "TCP"}],
            "endpoints": [{"addresses": [NODE_ADDRESS]}],
        },
    ]
