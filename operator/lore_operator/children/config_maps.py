"""The two ConfigMaps of an attempt: the config that its pod reads, and the report that its pod writes.

Both outlive the Job: together they are the record from which status is rebuilt.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from lore_core.jobs.config import WireModel
from lore_operator.children.labels import RENDERED_BY, ROLE, owner_reference
from lore_operator.children.names import Attempt
from lore_operator.children.settings import Settings

CONFIG_KEY: Final = "config.json"
RECORD_KEY: Final = "record.json"
"""What the run began with: the spec, and what references resolved to. Later stages and attempts are rendered from it."""


def config_map(
    resource: Mapping[str, Any],
    attempt: Attempt,
    labels: Mapping[str, str],
    config: WireModel,
    record: Mapping[str, Any],
    settings: Settings,
) -> dict[str, Any]:
    """The config, which never changes once the attempt exists."""
    data = {CONFIG_KEY: _text(config.model_dump(mode="json", by_alias=True, exclude_none=True))}
    data[RECORD_KEY] = _text(record)
    metadata = _metadata(resource, attempt.config, {**labels, ROLE: "config"}, settings)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": data}


def report_map(
    resource: Mapping[str, Any], attempt: Attempt, labels: Mapping[str, str], settings: Settings
) -> dict[str, Any]:
    """The empty report; the pod fills the key `report.json`, and nobody else ever writes data here."""
    metadata = _metadata(resource, attempt.report, {**labels, ROLE: "report"}, settings)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def is_report(item: Mapping[str, Any]) -> bool:
    """Whether an attempt's object is its report: its pod needs it only when it has something to tell."""
    return bool(item["kind"] == "ConfigMap" and item["metadata"]["labels"].get(ROLE) == "report")


def _metadata(resource: Mapping[str, Any], name: str, labels: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": resource["metadata"]["namespace"],
        "labels": dict(labels),
        "annotations": {RENDERED_BY: settings.version},
        "ownerReferences": [owner_reference(resource)],
    }


def _text(value: Any) -> str:
    # Sorted, then indented: Python's encoder does either in C, and both together ten times as slowly in Python.
    ordered = from_json(json.dumps(value, sort_keys=True))
    return to_json(ordered, indent=1).decode() + "\n"
