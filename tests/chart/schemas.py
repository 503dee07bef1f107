"""JSON schemas for kubeconform, from the API server's own OpenAPI document: no download, and the kinds that it serves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

TEMPLATE: Final = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"
"""kubeconform's template of the files' names (there, `.Group` of the core is `v1`)."""
_PREFIX = "#/definitions/"
_OPEN = "x-kubernetes-preserve-unknown-fields"


def write(document: dict[str, Any], folder: Path) -> str:
    """One file a kind into the folder; returns kubeconform's template of their paths."""
    definitions: dict[str, Any] = document["definitions"]
    for schema in definitions.values():
        for served in schema.get("x-kubernetes-group-version-kind", ()):
            names = sorted(_reached(schema, definitions))
            whole = {**_closed(schema), "definitions": {name: _closed(definitions[name]) for name in names}}
            _keep(whole, served, folder)
    return str(folder / TEMPLATE)


def write_definition(file: Path, folder: Path) -> None:
    """The same of a CustomResourceDefinition, without a server."""
    spec = yaml.safe_load(file.read_text())["spec"]
    for version in spec["versions"]:
        served = {"group": spec["group"], "version": version["name"], "kind": spec["names"]["kind"]}
        _keep(_closed(version["schema"]["openAPIV3Schema"]), served, folder)


def _keep(schema: dict[str, Any], served: dict[str, str], folder: Path) -> None:
    group = served["group"] or served["version"]
    path = folder / f"{served['kind']}-{group}-{served['version']}.json".lower()
    path.write_text(json.dumps(_with_own_fields(schema, served)))


def _with_own_fields(schema: dict[str, Any], served: dict[str, str]) -> dict[str, Any]:
    """The file's kind and apiVersion, and no other."""
    version = f"{served['group']}/{served['version']}" if served["group"] else served["version"]
    own = {"apiVersion": {"const": version}, "kind": {"const": served["kind"]}}
    return {**schema, "properties": {**schema.get("properties", {}), **own}, "required": ["apiVersion", "kind"]}


def _reached(node: Any, definitions: dict[str, Any], seen: set[str] | None = None) -> set[str]:
    seen = set() if seen is None else seen
    for name in _references(node):
        if name not in seen:
            seen.add(name)
            _reached(definitions[name], definitions, seen)
    return seen


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(_PREFIX)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _closed(node: Any) -> Any:
    """Unknown fields are refused where a schema lists the known ones; integers may stand for quantities and ports."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "int-or-string":
        return {"type": ["integer", "string", "number"]}
    found = {key: _closed(value) for key, value in node.items() if key != "format" or not isinstance(value, str)}
    if isinstance(node.get("properties"), dict) and not node.get(_OPEN) and "additionalProperties" not in node:
        found["additionalProperties"] = False
    return found
