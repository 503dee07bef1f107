"""kubectl against one cluster."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.errors import ClusterError


@dataclass(frozen=True)
class Kubectl:
    """The pinned kubectl bound to one kubeconfig."""

    binary: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it printed; raises ClusterError with kubectl's own words."""
        done = subprocess.run(
            [str(self.binary), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get … -o json`, parsed."""
        document: dict[str, Any] = json.loads(self("get", *arguments, "-o", "json"))
        return document

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Server-side apply of the objects."""
        documents = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(documents))

    def apply_definitions(self, files: Iterable[Path]) -> None:
        """Apply CRD files and wait until the server serves their kinds."""
        named = [f"--filename={file}" for file in files]
        if named:
            # Some CRDs exceed the size of the annotation that client-side apply writes.
            self("apply", "--server-side", "--force-conflicts", *named)
            self("wait", "--for=condition=Established", "--timeout=60s", *named)
