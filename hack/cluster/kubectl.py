"""kubectl against one cluster."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster import probe
from hack.cluster.errors import ClusterError

_SERVED_SECONDS = 60.0


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

    def read(self, file: Path) -> list[dict[str, Any]]:
        """The objects of a YAML file; the server must know their kinds."""
        text = self("create", "--dry-run=client", "--validate=false", "--output=json", f"--filename={file}")
        decoder, documents = json.JSONDecoder(), []
        while text := text.lstrip():
            document, end = decoder.raw_decode(text)
            documents.append(document)
            text = text[end:]
        return documents

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Server-side apply of the objects."""
        documents = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(documents))

    def apply_definitions(self, files: Iterable[Path]) -> None:
        """Apply CRD files and wait until the server serves their kinds."""
        named = [f"--filename={file}" for file in files]
        if not named:
            return
        # Some CRDs exceed the size of the annotation that client-side apply writes.
        applied = self("apply", "--server-side", "--force-conflicts", "--output=name", *named).split()
        kinds = ",".join(name.partition("/")[2] for name in applied)
        probe.wait_for(f"the API server serves {kinds}", lambda: self._serves(kinds), _SERVED_SECONDS)

    def _serves(self, kinds: str) -> bool:
        try:
            self("get", kinds, "--all-namespaces", "--output=name")
        except ClusterError:
            return False
        return True
