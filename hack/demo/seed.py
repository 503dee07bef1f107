"""Copies the data onto the workspace's volume through a pod, so that it works on any cluster."""

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import IO, Any, Final

from hack.cluster.kubectl import Kubectl
from hack.demo.data import Data
from hack.demo.errors import DemoError
from lore_core.artifacts import MANIFEST_NAME

_POD: Final = "seed"
_MOUNT: Final = "/workspace"
_USER: Final = 65532


def seed(kubectl: Kubectl, namespace: str, claim: str, image: str, data: Data) -> None:
    """Fill the claim's volume unless it holds this very data."""
    marker = hashlib.sha256(json.dumps(data.digests(), sort_keys=True).encode()).hexdigest()[:20]
    where = f"--namespace={namespace}"
    kubectl.apply(_pod(namespace, claim, image))
    try:
        kubectl("wait", where, "--for=condition=Ready", "--timeout=180s", f"pod/{_POD}")
        if marker not in kubectl("exec", where, _POD, "--", "ls", "--almost-all", _MOUNT).split():
            _copy(kubectl, namespace, data)
            kubectl("exec", where, _POD, "--", "touch", f"{_MOUNT}/{marker}")
    finally:
        kubectl("delete", where, f"pod/{_POD}", "--ignore-not-found", "--grace-period=1")


def _copy(kubectl: Kubectl, namespace: str, data: Data) -> None:
    command = [
        str(kubectl.binary),
        f"--kubeconfig={kubectl.kubeconfig}",
        "exec",
        "--stdin",
        f"--namespace={namespace}",
        _POD,
    ]
    command += ["--", "tar", "--extract", "--no-same-owner", "--directory", _MOUNT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            write_archive(process.stdin, data)
            process.stdin.close()
        except BrokenPipeError:
            pass  # the receiver has ended; its own words say why
        said = process.stderr.read().decode(errors="replace") if process.stderr else ""
    if process.returncode != 0:
        raise DemoError(f"copying the data onto the volume of {namespace} failed: {said.strip()}")


def write_archive(stream: IO[bytes], data: Data) -> None:
    """A tar archive of all artifacts, each one's manifest after its files, so that a torn copy is none."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for place, folder in data.folders.items():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            for path in sorted(files, key=lambda path: path.name == MANIFEST_NAME):
                _add(archive, path, f"{place}/{path.relative_to(folder).as_posix()}")


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, 0o644
    with path.open("rb") as file:
        archive.addfile(entry, file)


def _pod(namespace: str, claim: str, image: str) -> dict[str, Any]:
    container = {
        "name": "seed",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "workspace", "mountPath": _MOUNT}],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "workspace", "persistentVolumeClaim": {"claimName": claim}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _POD, "namespace": namespace}, "spec": spec}
