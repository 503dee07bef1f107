"""Kubeconfig files with the credentials inside."""

import base64
import json
import os
from pathlib import Path

from hack.cluster.pki import Pair


def write(path: Path, server: str, authority: Path, user: Pair) -> Path:
    """Write a kubeconfig (as JSON, which is YAML) that only its owner may read."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "lore", "cluster": {"server": server, "certificate-authority-data": _encoded(authority)}}
        ],
        "users": [
            {
                "name": "lore",
                "user": {
                    "client-certificate-data": _encoded(user.certificate),
                    "client-key-data": _encoded(user.key),
                },
            }
        ],
        "contexts": [{"name": "lore", "context": {"cluster": "lore", "user": "lore"}}],
        "current-context": "lore",
    }
    pending = path.with_suffix(".tmp")
    with os.fdopen(os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        json.dump(document, handle, indent=1)
    pending.rename(path)
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
