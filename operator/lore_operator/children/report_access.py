"""What the pods of a resource may do: patch the reports of their attempt, nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from lore_operator.api.v1alpha1.common import PodSettings
from lore_operator.children.labels import owner_labels, owner_reference
from lore_operator.children.names import access_name

_RBAC = "rbac.authorization.k8s.io"


def service_account_name(resource: Mapping[str, Any], pods: PodSettings) -> str:
    """The spec's ServiceAccount, for workload identity, or one of the resource's own."""
    return pods.service_account_name or access_name(resource["kind"], resource["metadata"]["name"])


def report_access(resource: Mapping[str, Any], pods: PodSettings, reports: Sequence[str]) -> list[dict[str, Any]]:
    """ServiceAccount (unless the spec names one), Role limited to the named ConfigMaps, RoleBinding."""
    account = service_account_name(resource, pods)
    metadata = _metadata(resource)
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": sorted(reports), "verbs": ["get", "patch"]}
        ],
    }  # fmt: skip
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": metadata["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": metadata["namespace"]}],
    }
    own = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }
    return [*([] if pods.service_account_name else [own]), role, binding]


def _metadata(resource: Mapping[str, Any]) -> dict[str, Any]:
    name = resource["metadata"]["name"]
    return {
        "name": access_name(resource["kind"], name),
        "namespace": resource["metadata"]["namespace"],
        "labels": owner_labels(resource["kind"], name),
        "ownerReferences": [owner_reference(resource)],
    }
