"""What the watch caches keep of an object: the fields that decisions read (see `plan.types`), and nothing else."""

from typing import Any, Final

from lore_operator.children.config_maps import CONFIG_KEY
from lore_operator.engine.client import Manifest

_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "labels",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
)
_NOT_KEPT: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_WHOLE: Final = ("rules", "revision", "endpoints", "ports")


def trim(manifest: Manifest) -> Manifest:
    """The projection of one object. Specs go, except where a pod runs and how many replicas are wanted."""
    metadata = manifest["metadata"]
    kept: dict[str, Any] = {name: metadata[name] for name in _METADATA if name in metadata}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _NOT_KEPT}
    if annotations:
        kept["annotations"] = annotations
    trimmed: Manifest = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": kept}
    trimmed |= {name: manifest[name] for name in _WHOLE if name in manifest}
    if data := {key: text for key, text in (manifest.get("data") or {}).items() if key != CONFIG_KEY}:
        trimmed["data"] = data  # a pod's config is the pod's; what a decision goes by is the record beside it
    if spec := _spec(manifest):
        trimmed["spec"] = spec
    if "status" in manifest:
        trimmed["status"] = manifest["status"]
    return trimmed


def _spec(manifest: Manifest) -> dict[str, Any]:
    spec = manifest.get("spec") or {}
    names = {"Pod": ("nodeName",), "Deployment": ("replicas",), "InferenceService": ("predictor",)}
    return {name: spec[name] for name in names.get(manifest["kind"], ()) if name in spec}
