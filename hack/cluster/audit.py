"""The API server's audit log: what ServiceAccounts asked for and whether RBAC allowed it; people and Kubernetes itself aside.

A test compares it with the verbs that the chart grants. It holds no bodies (level Metadata), so no Secret is in it.
"""

import json
from pathlib import Path
from typing import Final

from hack.cluster import files

LOG: Final = "audit.log"
_MEGABYTES: Final = 64
_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


def flags(directory: Path) -> list[str]:
    """The API server's arguments; writes its policy."""
    policy = files.write(directory / "audit-policy.json", json.dumps(_POLICY, indent=1))
    return [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={directory / LOG}",
        f"--audit-log-maxsize={_MEGABYTES}",
        "--audit-log-maxbackup=1",
    ]
