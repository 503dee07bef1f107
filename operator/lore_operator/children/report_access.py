"""What the pods of a resource may do: patch the reports of their attempt, nothing else.

Either each resource has a ServiceAccount, a Role and a RoleBinding of its own, limited to its reports by name. Or, where the
installation has a ValidatingAdmissionPolicy that lets a pod's token write that pod's own report only, all workload pods of a
namespace share one set. A ServiceAccount that the spec names always gets a Role of the first form.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lore_operator.api.v1alpha1.common import PodSettings
from lore_operator.children.labels import FIELD_MANAGER, MANAGED_BY, owner_labels, owner_reference
from lore_operator.children.names import access_name
from lore_operator.children.settings import Settings

SHARED: Final = "lore-workload"
"""Name of the shared ServiceAccount, Role and RoleBinding; the chart's policy is about tokens of this ServiceAccount."""
SHARED_KINDS: Final = ("ServiceAccount", "Role", "RoleBinding")
_RBAC: Final = "rbac.authorization.k8s.io"


def service_account_name(
    resource: Mapping[str, Any], pods: PodSettings, settings: Settings, purpose: str | None = None
) -> str:
    """The spec's ServiceAccount, for workload identity, else the shared one, or one of the resource's own."""
    own = SHARED if settings.shared_account else access_name(resource["kind"], resource["metadata"]["name"], purpose)
    return pods.service_account_name or own


def is_shared(item: Mapping[str, Any]) -> bool:
    """Whether an object of `report_access` belongs to all resources of its namespace."""
    return bool(item["kind"] in SHARED_KINDS and item["metadata"]["name"] == SHARED)


def report_access(
    resource: Mapping[str, Any],
    pods: PodSettings,
    reports: Sequence[str],
    settings: Settings,
    purpose: str | None = None,
) -> list[dict[str, Any]]:
    """ServiceAccount (unless the spec names one), Role, RoleBinding."""
    shared = settings.shared_account and not pods.service_account_name
    metadata = _shared_metadata(resource) if shared else _metadata(resource, purpose)
    rule: dict[str, Any] = {"apiGroups": [""], "resources": ["configmaps"]}
    rule |= {"verbs": ["patch"]} if shared else {"resourceNames": sorted(reports), "verbs": ["get", "patch"]}
    account = service_account_name(resource, pods, settings, purpose)
    role = {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
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


def _shared_metadata(resource: Mapping[str, Any]) -> dict[str, Any]:
    """No owner: the set outlives each of those that use it."""
    return {"name": SHARED, "namespace": resource["metadata"]["namespace"], "labels": {MANAGED_BY: FIELD_MANAGER}}


def _metadata(resource: Mapping[str, Any], purpose: str | None) -> dict[str, Any]:
    name = resource["metadata"]["name"]
    return {
        "name": access_name(resource["kind"], name, purpose),
        "namespace": resource["metadata"]["namespace"],
        "labels": owner_labels(resource["kind"], name),
        "ownerReferences": [owner_reference(resource)],
    }
