"""The platform on a real node, as the demo installs it, and small resources for tests of their own."""

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.fixtures import restricted_namespace

from hack.cluster.kubectl import Kubectl
from hack.demo import data, install, seed
from hack.demo.target import Target
from lore_core.artifacts import MANIFEST_NAME, ArtifactRef, publish

CLAIM = "workspace"
API = "lore-platform.io/v1alpha1"
_POLL_SECONDS = 1.0
SMALL = {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}


@dataclass(frozen=True)
class Platform:
    """An installed operator, the images, and the generated data. `install_seconds`: Helm's, until the operator was ready."""

    target: Target
    references: Mapping[str, str]
    made: data.Data
    install_seconds: float

    @property
    def kubectl(self) -> Kubectl:
        return self.target.kubectl

    @contextmanager
    def filled_namespace(self, prefix: str, folders: Mapping[str, Path]) -> Iterator[str]:
        """A namespace of the restricted profile with artifacts on its claim, by their place there; deleted at the end."""
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.kubectl.apply(restricted_namespace(name))
        try:
            self._claim(name)
            self.put(name, folders)
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")
            self.release(name)

    def _claim(self, namespace: str) -> None:
        self.target.provide_volume(namespace, CLAIM)
        spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
        metadata = {"name": CLAIM, "namespace": namespace}
        self.kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})

    def put(self, namespace: str, folders: Mapping[str, Path]) -> None:
        """Artifacts onto the namespace's claim, by their place there."""
        seed.seed(self.kubectl, namespace, CLAIM, self.references["router"], data.Data(folders))

    def release(self, namespace: str) -> None:
        """Delete the volume that a claim in the namespace had."""
        if self.target.node is not None:
            self.kubectl("delete", f"persistentvolume/{namespace}-{CLAIM}", "--wait=false", "--ignore-not-found")

    def kill_operator(self) -> None:
        """SIGKILL, without time to clean up."""
        self.kubectl(
            "delete", "pod", f"--namespace={install.NAMESPACE}", "--selector=app.kubernetes.io/name=lore-operator",
            "--grace-period=0", "--force",
        )  # fmt: skip

    def await_resource(
        self,
        namespace: str,
        kind: str,
        name: str,
        what: str,
        holds: Callable[[dict[str, Any]], bool],
        seconds: float = 600.0,
    ) -> dict[str, Any]:
        """The resource once `holds` is true of it; an error with its conditions after the seconds."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.kubectl.get(f"{kind.lower()}s.lore-platform.io", name, f"--namespace={namespace}")
            if holds(found):
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{kind} {name} is not {what} after {seconds:.0f} s: {conditions(found)}")
            time.sleep(_POLL_SECONDS)

    def await_condition(self, namespace: str, kind: str, name: str, condition: str) -> dict[str, Any]:
        """The resource once the condition is True."""
        return self.await_resource(namespace, kind, name, condition, lambda found: holds(found, condition))

    def wipe_status(self, namespace: str, kind: str, name: str) -> None:
        """Everything that the operator remembers on the object itself is gone."""
        patch = [{"op": "replace", "path": "/status", "value": {"observedGeneration": -1}}]
        self.kubectl(
            "patch", f"{kind.lower()}s.lore-platform.io", name, f"--namespace={namespace}", "--subresource=status",
            "--type=json", f"--patch={json.dumps(patch)}",
        )  # fmt: skip

    def items(self, namespace: str, plural: str) -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        return list(self.kubectl.get(plural, f"--namespace={namespace}")["items"])


def train_job(
    namespace: str, name: str, stages: list[dict[str, Any]], place: str = f"pvc://{CLAIM}", **more: Any
) -> dict[str, Any]:
    """A small train job on two pods; `place` is the store that data is read from and models are written to."""
    secret = {"secretRef": more.pop("secret")} if "secret" in more else {}
    spec = {
        "baseModel": {"uri": f"{place}/base/lm", **secret},
        "data": {"uri": f"{place}/data/pairs", **secret},
        "ruleSet": {"uri": f"{place}/data/rules", **secret},
        "workspace": {"uri": f"{place}/runs", **secret},
        "nodes": {"count": 2},
        "runner": {"resources": SMALL, "env": [{"name": "OMP_NUM_THREADS", "value": "1"}]},
        "stages": stages,
        **more,
    }
    return {
        "apiVersion": API,
        "kind": "RelevanceTrainJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def sft(name: str, steps: int, publish_as: str | None = None) -> dict[str, Any]:
    """A short supervised stage."""
    stage: dict[str, Any] = {"name": name, "sft": {"optimizer": {"maxSteps": steps, "checkpointEvery": 10}}}
    return stage | ({"publish": {"as": publish_as}} if publish_as else {})


def conditions(resource: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Conditions by type."""
    return {entry["type"]: entry for entry in resource.get("status", {}).get("conditions", [])}


def holds(resource: dict[str, Any], kind: str) -> bool:
    """Whether a condition is True."""
    return bool(conditions(resource).get(kind, {}).get("status") == "True")


def republished(source: Path, folder: Path, kind: str, edit: Callable[[Path], None]) -> Path:
    """A copy of an artifact with an edit, published anew, so that its manifest fits what it holds."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(source, scratch, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST_NAME))
        edit(Path(scratch))
        publish(Path(scratch), ArtifactRef(uri=folder.absolute().as_uri()), kind)
    return folder
