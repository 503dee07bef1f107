"""Volumes of a workload pod: claims of pvc:// uris, Secrets of secretRefs, scratch space, shared memory, the config."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from lore_core.jobs import CONFIG_PATH
from lore_operator.api.v1alpha1.common import SECRET_ROOT, ArtifactRef, Quantity

PVC_ROOT: Final = "/mnt/lore/pvc"
CONFIG_FOLDER: Final = CONFIG_PATH.rpartition("/")[0]
PREFIX: Final = "lore-"
"""Names of our volumes begin with it; overrides may not use it."""
GROUP_READABLE: Final = 0o440


class Volumes(NamedTuple):
    """Volumes of a pod and the mounts of its main container, in the same order."""

    volumes: list[dict[str, Any]]
    mounts: list[dict[str, Any]]

    def add(self, name: str, source: dict[str, Any], path: str, read_only: bool = False) -> None:
        """One volume and its mount."""
        self.volumes.append({"name": name, **source})
        self.mounts.append({"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})})


def scratch(shared_memory: Quantity) -> Volumes:
    """/tmp, and /dev/shm with its size limit: all that is writable beside the workspace."""
    found = Volumes([], [])
    found.add(f"{PREFIX}tmp", {"emptyDir": {}}, "/tmp")
    memory = {"medium": "Memory", "sizeLimit": str(shared_memory)}
    found.add(f"{PREFIX}shm", {"emptyDir": memory}, "/dev/shm")
    return found


def add_config(found: Volumes, config_map: str) -> None:
    """The rendered config. Only `config.json`: the frozen spec beside it is the operator's own record."""
    source = {"configMap": {"name": config_map, "items": [{"key": "config.json", "path": "config.json"}]}}
    found.add(f"{PREFIX}config", source, CONFIG_FOLDER, read_only=True)


def add_artifacts(
    found: Volumes, inputs: Iterable[ArtifactRef], workspace: ArtifactRef | None, secrets: Iterable[str] = ()
) -> None:
    """Each claim at its own folder, writable only where the workspace is on it, and each Secret at its own folder.

    `secrets` are those that no artifact names.
    """
    named = [*inputs, *([workspace] if workspace else [])]
    for index, claim in enumerate(_distinct(ref.claim for ref in named)):
        read_only = workspace is None or claim != workspace.claim
        source = {"claimName": claim, **({"readOnly": True} if read_only else {})}
        found.add(f"{PREFIX}pvc-{index}", {"persistentVolumeClaim": source}, f"{PVC_ROOT}/{claim}", read_only)
    of_stores = [ref.secret_ref.name if ref.secret_ref else None for ref in named]
    for index, secret in enumerate(_distinct([*of_stores, *secrets])):
        source = {"secretName": secret, "defaultMode": GROUP_READABLE}
        found.add(f"{PREFIX}secret-{index}", {"secret": source}, f"{SECRET_ROOT}/{secret}", read_only=True)


def _distinct(names: Iterable[str | None]) -> list[str]:
    return sorted({name for name in names if name is not None})
