"""A ServiceAccount for each side: what a controller in a cluster logs in as, so RBAC and the audit log cost both the same."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hack.cluster.controlplane import ControlPlane

_RBAC: Final = "rbac.authorization.k8s.io"
EVERYTHING: Final = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},)


def account(plane: ControlPlane, folder: Path, name: str, rules: Sequence[dict[str, Any]]) -> Path:
    """A kubeconfig in `folder` that logs in with the token of a ServiceAccount with these rules in the whole cluster."""
    metadata = {"name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    reference = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
    binding = {"kind": "ClusterRoleBinding", "metadata": metadata, "roleRef": reference, "subjects": [subject]}
    plane.kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**metadata, "namespace": "default"}},
        {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": list(rules)},
        {"apiVersion": f"{_RBAC}/v1", **binding},
    )
    document = json.loads(plane.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": plane.kubectl("create", "token", name, "--duration=4h").strip()}
    path = folder / f"{name}.kubeconfig"
    path.write_text(json.dumps(document))
    return path
