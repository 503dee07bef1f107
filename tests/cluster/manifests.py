"""Small workloads that any namespace admits: they keep to the restricted pod profile."""

from collections.abc import Mapping, Sequence
from typing import Any

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def container(image: str, script: str, **more: object) -> dict[str, Any]:
    """A container that runs the shell script."""
    return {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-ec", script],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": CONTAINER_SECURITY,
        **more,
    }


def pod_spec(containers: Sequence[Mapping[str, Any]], **more: object) -> dict[str, Any]:
    """A pod that runs its containers once."""
    return {"restartPolicy": "Never", "securityContext": POD_SECURITY, "containers": list(containers), **more}


def stand_in(group: str, version: str, kind: str) -> dict[str, Any]:
    """A definition of another project's kind without its schema, where only that it is served matters."""
    plural = f"{kind.lower()}s"
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = {"name": version, "served": True, "storage": True, "schema": schema}
    approved = {"api-approved.kubernetes.io": f"https://github.com/kubernetes-sigs/{group.partition('.')[0]}"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": approved},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
    }


def pod(namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A pod."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
