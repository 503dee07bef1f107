"""The pod template of every workload: restricted profile, read-only root, config and report wired in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lore_operator.api.v1alpha1.common import ArtifactRef, PodSettings
from lore_operator.children.labels import RENDERED_BY
from lore_operator.children.names import Attempt
from lore_operator.children.overrides import MAIN, merged
from lore_operator.children.settings import Settings
from lore_operator.children.volumes import Volumes, add_artifacts, add_config, scratch

GPU: Final = "nvidia.com/gpu"
USER_ID: Final = 65532
_GRACE_SECONDS: Final = 120
"""Time for a checkpoint after SIGTERM."""

POD_SECURITY: Final = {
    "runAsNonRoot": True,
    "runAsUser": USER_ID,
    "runAsGroup": USER_ID,
    "fsGroup": USER_ID,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
# The image's user has no home and no passwd entry, and libraries ask for both; every cache goes to the scratch volume.
WRITABLE: Final = {"HOME": "/tmp", "TMPDIR": "/tmp", "XDG_CACHE_HOME": "/tmp/.cache", "USER": "lore", "LOGNAME": "lore"}

# NCCL says nothing of an error by itself; what it says ends in the failure's message.
_ON_GPUS: Final = {"NCCL_DEBUG": "WARN"}


@dataclass(frozen=True)
class Workload:
    """One attempt's pod: what runs, with which inputs, where it writes and reports."""

    attempt: Attempt
    namespace: str
    image: str
    command: tuple[str, ...]
    pods: PodSettings
    service_account: str
    labels: Mapping[str, str]
    inputs: tuple[ArtifactRef, ...]
    workspace: ArtifactRef
    gpus: int = 0
    subdomain: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


def pod_template(workload: Workload, settings: Settings) -> dict[str, Any]:
    """The pod template. Raises InvalidPodTemplate where an override is not allowed."""
    volumes = scratch(workload.pods.shared_memory)
    add_config(volumes, workload.attempt.config)
    add_artifacts(volumes, workload.inputs, workload.workspace, workload.secrets)
    template = {
        "metadata": {"labels": dict(workload.labels), "annotations": {RENDERED_BY: settings.version}},
        "spec": _spec(workload, settings, volumes),
    }
    return merged(template, workload.pods.pod_template)


def _spec(workload: Workload, settings: Settings, volumes: Volumes) -> dict[str, Any]:
    secrets = dict.fromkeys([*(ref.name for ref in workload.pods.image_pull_secrets), *settings.image_pull_secrets])
    optional = {
        "subdomain": workload.subdomain,
        "nodeSelector": dict(workload.pods.node_selector),
        "imagePullSecrets": [{"name": name} for name in secrets],
    }
    return {
        "restartPolicy": "Never",
        "serviceAccountName": workload.service_account,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": POD_SECURITY,
        **{name: value for name, value in optional.items() if value},
        "containers": [_main(workload, settings, volumes)],
        "volumes": volumes.volumes,
    }


def _main(workload: Workload, settings: Settings, volumes: Volumes) -> dict[str, Any]:
    return {
        "name": MAIN,
        "image": workload.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": list(workload.command),
        "env": environment(workload, settings),
        "resources": resources(workload.pods, workload.gpus),
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": volumes.mounts,
    }


def environment(workload: Workload, settings: Settings) -> list[dict[str, str]]:
    """Scratch folders, then the installation's variables, then the spec's, and last and for sure the operator's own."""
    defaults = {**WRITABLE, **(_ON_GPUS if workload.gpus else {})}
    values = {**defaults, **settings.environment, **{item.name: item.value for item in workload.pods.env}}
    values |= {**workload.variables, "LORE_REPORT": f"{workload.namespace}/{workload.attempt.report}"}
    return [{"name": name, "value": value} for name, value in values.items()]


def resources(pods: PodSettings, gpus: int) -> dict[str, Any]:
    """Requests and limits as the spec gives them, with the GPUs of the node count where it does not name them itself."""
    found = {key: values for key, values in pods.resources.to_wire().items() if values}
    if gpus and GPU not in found.get("limits", {}):
        found["limits"] = {**found.get("limits", {}), GPU: str(gpus)}
    return found


def gpus_asked(resources: Mapping[str, Any]) -> int:
    """GPUs of any vendor that one pod's container asks for."""
    limits = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return sum(int(amount) for name, amount in limits.items() if "gpu" in name)
