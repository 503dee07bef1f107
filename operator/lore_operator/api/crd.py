"""Writes the CRDs from the types: `python -m lore_operator.api.crd [--check] [--into crds]`.

What pydantic emits and what a structural schema may hold differ (kubernetes.io, "Extend the Kubernetes API with
CustomResourceDefinitions", section on structural schemas): references are inlined, null alternatives dropped, unknown
keywords removed, defaults of absent fields left out.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from lore_operator.api.v1alpha1 import (
    CATEGORY,
    GROUP,
    VERSION,
    RelevanceDeployment,
    RelevanceEval,
    RelevanceModel,
    RelevanceTrainJob,
)
from lore_operator.api.v1alpha1.common import Resource

_DROPPED: Final = frozenset({"title", "additionalProperties", "discriminator", "examples", "$defs", "const"})
_FRESH: Final = {"observedGeneration": -1}


class Column(NamedTuple):
    """One printer column; priority 1 shows with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


class Served(NamedTuple):
    """How one kind is served."""

    type: type[Resource]
    plural: str
    short: str
    columns: tuple[Column, ...]


def _condition(type_: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")
_READY: Final = Column("Ready", _condition("Ready"))
_REASON: Final = Column("Reason", _condition("Ready", "reason"))
_MESSAGE: Final = Column("Message", _condition("Ready", "message"), priority=1)

KINDS: Final = (
    Served(
        RelevanceTrainJob,
        "relevancetrainjobs",
        "rtj",
        (
            _READY,
            _REASON,
            Column("Stage", ".status.stage"),
            Column("Restarts", ".status.restarts", "integer"),
            _AGE,
            _MESSAGE,
        ),
    ),
    Served(
        RelevanceModel,
        "relevancemodels",
        "rmodel",
        (_READY, Column("Role", ".spec.role"), Column("Digest", ".spec.digest"), _AGE, Column("Uri", ".spec.uri", priority=1)),
    ),
    Served(
        RelevanceEval,
        "relevanceevals",
        "reval",
        (
            Column("Verdict", ".status.verdict"),
            _REASON,
            Column("Score", ".status.primary.value"),
            Column("Gates", ".status.gatesPassed"),
            Column("Subject", ".status.subject"),
            _AGE,
            Column("Metric", ".status.primary.name", priority=1),
            Column("Override", ".status.override.by", priority=1),
            _MESSAGE,
        ),
    ),
    Served(
        RelevanceDeployment,
        "relevancedeployments",
        "rdep",
        (
            _READY,
            _REASON,
            Column("Stable", ".status.stable"),
            Column("Candidate", ".status.candidate"),
            Column("Weight", ".status.weight", "integer"),
            Column("Gate", ".status.gate"),
            _AGE,
            Column("Url", ".status.url", priority=1),
            _MESSAGE,
        ),
    ),
)  # fmt: skip


def crd(served: Served) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    kind = served.type.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{served.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": served.plural,
                "singular": kind.lower(),
                "shortNames": [served.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in served.columns],
                    "schema": {"openAPIV3Schema": root_schema(served.type)},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return found | ({"priority": column.priority} if column.priority else {})


def root_schema(kind: type[Resource]) -> dict[str, Any]:
    """The structural schema of a kind. The API server itself checks apiVersion, kind and metadata."""
    raw = kind.model_json_schema(by_alias=True)
    schema = structural(raw, raw.get("$defs", {}))
    schema["properties"]["metadata"] = {"type": "object"}
    schema["properties"]["status"] = _without_defaults(schema["properties"]["status"]) | {"default": _FRESH}
    schema["required"] = ["spec"]
    return schema


def _without_defaults(node: Any) -> Any:
    """Status holds what the operator wrote and nothing else, so that comparing it finds no difference of the server's."""
    if isinstance(node, list):
        return [_without_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _without_defaults(value) for key, value in node.items() if key != "default"}


def structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """One node of a pydantic JSON schema as a structural one."""
    node = _resolved(node, definitions)
    found = {key: value for key, value in node.items() if key not in _DROPPED and value is not None}
    if node.get("x-kubernetes-preserve-unknown-fields") or node.get("additionalProperties") is True:
        found["x-kubernetes-preserve-unknown-fields"] = True
    elif isinstance(node.get("additionalProperties"), dict):
        found["additionalProperties"] = structural(node["additionalProperties"], definitions)
    if "properties" in node:
        found["properties"] = {name: structural(value, definitions) for name, value in node["properties"].items()}
    if "items" in node:
        found["items"] = structural(node["items"], definitions)
    if node.get("type") == "integer":
        found["format"] = "int64"
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].split())
    return _with_default(found, node)


def _with_default(found: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """An object's default is `{}`: its own fields' defaults fill it. Empty collections need none."""
    default = found.pop("default", None)
    if found.get("type") == "object" and "properties" in found:
        if default is not None:
            found["default"] = {}
    elif default not in (None, [], {}, ""):
        found["default"] = default
    return found


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """References inlined, `X | None` as X; what stands beside a reference wins, validation rules of both are kept."""
    while True:
        beside = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
        if "$ref" in node:
            target = definitions[node["$ref"].removeprefix("#/$defs/")]
        elif "anyOf" in node and "x-kubernetes-int-or-string" not in node:
            (target,) = (option for option in node["anyOf"] if option.get("type") != "null")
        else:
            return node
        rules = [*target.get("x-kubernetes-validations", ()), *beside.get("x-kubernetes-validations", ())]
        node = target | beside | ({"x-kubernetes-validations": rules} if rules else {})


class _Plain(yaml.SafeDumper):
    """No anchors: every schema stands in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render(served: Served) -> str:
    """The file of one kind."""
    head = "# Generated by `make generate` from operator/lore_operator/api/v1alpha1; do not edit.\n"
    return head + str(yaml.dump(crd(served), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True))


def main(argv: list[str] | None = None) -> int:
    """Write the files, or with --check say which ones differ (exit status 1)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path("crds"), help="folder of the CRDs")
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file is not up to date")
    args = parser.parse_args(argv)
    files = {args.into / f"{GROUP}_{served.plural}.yaml": render(served) for served in KINDS}
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if args.check:
            print(f"{path} is not up to date: run `make generate`", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
