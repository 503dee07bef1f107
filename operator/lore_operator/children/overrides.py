"""`podTemplate`: a user's overrides merged into the rendered pod template, or refused with the field named.

What makes a verdict comparable (image, command, config) and what the report is trusted for cannot be overridden.
"""

from collections.abc import Mapping
from typing import Any, Final

from lore_operator.api.v1alpha1.group import GROUP

MAIN: Final = "lore"
"""Name of the main container."""

_RESERVED_PATHS: Final = ("/etc/lore", "/mnt/lore", "/var/run/secrets/kubernetes.io")
_RESERVED_LABELS: Final = (f"{GROUP}/", "app.kubernetes.io/managed-by", "batch.kubernetes.io/", "kueue.x-k8s.io/")
_OWNED: Final = {
    "restartPolicy": "the Job decides it",
    "serviceAccountName": "set runner.serviceAccountName",
    "serviceAccount": "set runner.serviceAccountName",
    "automountServiceAccountToken": "the pod reports with its token",
    "subdomain": "the headless Service decides it",
    "hostname": "the Job decides it",
}
_OWNED_MAIN: Final = {
    "command": "the verb is the contract",
    "args": "the verb is the contract",
    "image": "set runner.image, which a verdict shows",
}
_MERGE_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}


class InvalidPodTemplate(ValueError):
    """An override that is not allowed or not a pod template; the message names the field."""

    reason = "InvalidPodTemplate"


def merged(template: dict[str, Any], overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """The pod template with the overrides. Lists of named things merge by name. Raises InvalidPodTemplate."""
    if not overrides:
        return template
    check(overrides)
    return _object(template, overrides, "podTemplate")


def check(overrides: Mapping[str, Any]) -> None:
    """Raise InvalidPodTemplate for the first override that is not allowed."""
    _only(overrides, {"metadata", "spec"}, "podTemplate")
    metadata, spec = _mapping(overrides, "metadata", "podTemplate"), _mapping(overrides, "spec", "podTemplate")
    _only(metadata, {"labels", "annotations"}, "podTemplate.metadata")
    for label in _mapping(metadata, "labels", "podTemplate.metadata"):
        if label.startswith(_RESERVED_LABELS):
            raise InvalidPodTemplate(f"podTemplate.metadata.labels.{label}: reserved")
    _refuse(spec, _OWNED, "podTemplate.spec")
    for index, volume in enumerate(_items(spec, "volumes", "podTemplate.spec")):
        if str(volume.get("name", "")).startswith("lore-"):
            raise InvalidPodTemplate(f"podTemplate.spec.volumes[{index}].name: names with lore- are the operator's")
    for kind in ("containers", "initContainers"):
        for container in _items(spec, kind, "podTemplate.spec"):
            _check_container(container, kind)


def _check_container(container: Mapping[str, Any], kind: str) -> None:
    name = container.get("name")
    where = f"podTemplate.spec.{kind}[{name}]"
    if not isinstance(name, str):
        raise InvalidPodTemplate(f"podTemplate.spec.{kind}: each container needs a name; the main one is {MAIN}")
    if name != MAIN:
        return
    if kind == "initContainers":
        raise InvalidPodTemplate(f"{where}: {MAIN} is the main container")
    _refuse(container, _OWNED_MAIN, where)
    for variable in _items(container, "env", where):
        if str(variable.get("name", "")).startswith("LORE_"):
            raise InvalidPodTemplate(f"{where}.env[{variable['name']}]: LORE_ variables are the operator's")
    for mount in _items(container, "volumeMounts", where):
        path = str(mount.get("mountPath", ""))
        if any(path == reserved or path.startswith(reserved + "/") for reserved in _RESERVED_PATHS):
            raise InvalidPodTemplate(f"{where}.volumeMounts[{path}]: this path is the operator's")


def _refuse(given: Mapping[str, Any], owned: Mapping[str, str], where: str) -> None:
    for field, remedy in owned.items():
        if field in given:
            raise InvalidPodTemplate(f"{where}.{field}: cannot be overridden, {remedy}")


def _only(given: Mapping[str, Any], allowed: set[str], where: str) -> None:
    if unknown := sorted(set(given) - allowed):
        raise InvalidPodTemplate(f"{where}.{unknown[0]}: only {', '.join(sorted(allowed))} can be overridden")


def _mapping(given: Mapping[str, Any], field: str, where: str) -> Mapping[str, Any]:
    found = given.get(field, {})
    if not isinstance(found, Mapping):
        raise InvalidPodTemplate(f"{where}.{field}: must be an object")
    return found


def _items(given: Mapping[str, Any], field: str, where: str) -> list[Mapping[str, Any]]:
    found = given.get(field, [])
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise InvalidPodTemplate(f"{where}.{field}: must be a list of objects")
    return found


def _object(base: Mapping[str, Any], over: Mapping[str, Any], where: str) -> dict[str, Any]:
    found = dict(base)
    for field, value in over.items():
        found[field] = _value(found[field], value, field, f"{where}.{field}") if field in found else value
    return found


def _value(base: Any, over: Any, field: str, where: str) -> Any:
    if isinstance(base, Mapping):
        if not isinstance(over, Mapping):
            raise InvalidPodTemplate(f"{where}: must be an object")
        return _object(base, over, where)
    if isinstance(base, list) and field in _MERGE_KEYS:
        return _named(base, over, _MERGE_KEYS[field], where)
    if isinstance(base, list):
        if not isinstance(over, list):
            raise InvalidPodTemplate(f"{where}: must be a list")
        return [*base, *over]
    return over


def _named(base: list[Any], over: Any, key: str, where: str) -> list[Any]:
    found = {item[key]: item for item in base}
    for item in _items({"list": over}, "list", where):
        name = item.get(key)
        found[name] = _object(found[name], item, f"{where}[{name}]") if name in found else dict(item)
    return list(found.values())
