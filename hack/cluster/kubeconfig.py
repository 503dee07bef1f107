"""Kubeconfig files with the credentials inside."""

import base64
import json
from pathlib import Path

from hack.cluster import files
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
    return files.write(path, json.dumps(document, indent=1), 0o600)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
