"""What outlives a RelevanceModel with deletionPolicy Delete: the record of its bytes, and the Job that removes them.

The record is a ControllerRevision without an owner: its data never changes, and who may only edit a namespace cannot forge one.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from lore_operator.api.v1alpha1.common import SECRET_ROOT, ArtifactRef
from lore_operator.children.labels import ROLE, owner_labels
from lore_operator.children.overrides import MAIN
from lore_operator.children.pod import CONTAINER_SECURITY, POD_SECURITY, WRITABLE
from lore_operator.children.settings import Settings
from lore_operator.children.volumes import add_artifacts, scratch

BYTES: Final = "bytes"
"""Value of the role label of records and Jobs."""
_KIND: Final = "RelevanceModel"
_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
_TRIES: Final = 6


def place_key(ref: ArtifactRef) -> str:
    """Ten digits that stand for these bytes at this place."""
    return hashlib.sha256(f"{ref.uri}@{ref.digest}".encode()).hexdigest()[:10]


def bytes_record(namespace: str, model: str, ref: ArtifactRef) -> dict[str, Any]:
    """Which bytes go once the model is gone."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{model}-{BYTES}-{place_key(ref)}",
            "namespace": namespace,
            "labels": {**owner_labels(_KIND, model), ROLE: BYTES},
        },
        "data": ref.to_wire(),
        "revision": 1,
    }


def discard_job(record: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The Job that removes a record's bytes. The record owns it: both go together."""
    metadata, ref = record["metadata"], ArtifactRef.model_validate(record["data"])
    owner = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "name": metadata["name"], "uid": metadata["uid"]}
    labels = dict(metadata["labels"])
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"lore-discard-{place_key(ref)}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {
            "backoffLimit": _TRIES,
            "template": {"metadata": {"labels": labels}, "spec": _pod(ref, settings)},
        },
    }


def _pod(ref: ArtifactRef, settings: Settings) -> dict[str, Any]:
    volumes = scratch("64Mi")
    add_artifacts(volumes, (), ref)
    secrets = [{"name": name} for name in settings.image_pull_secrets]
    arguments = ["--uri", ref.uri, "--digest", ref.digest or ""]
    arguments += ["--credentials", f"{SECRET_ROOT}/{ref.secret_ref.name}"] if ref.secret_ref else []
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        **({"imagePullSecrets": secrets} if secrets else {}),
        "containers": [
            {
                "name": MAIN,
                "image": settings.images.router,
                "imagePullPolicy": settings.image_pull_policy,
                "command": ["lore", "discard", *arguments],
                "env": [{"name": k, "value": v} for k, v in {**WRITABLE, **settings.environment}.items()],
                "resources": _RESOURCES,
                "securityContext": CONTAINER_SECURITY,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": volumes.mounts,
            }
        ],
        "volumes": volumes.volumes,
    }
