"""What a ServiceAccount asked the API server for, read from the audit log."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class Right(NamedTuple):
    """One verb on one resource (with its subresource after a slash), as RBAC grants it."""

    group: str
    resource: str
    verb: str


def asked(log: Path, account: str) -> set[Right]:
    """Every right that the account made use of."""
    return {_right(event) for event in _events(log, account)}


def refused(log: Path, account: str) -> set[Right]:
    """What RBAC refused the account."""
    return {_right(event) for event in _events(log, account) if _decision(event) == "forbid"}


def writes(log: Path, account: str, namespace: str, resource: str) -> list[tuple[str, str]]:
    """(verb, name) of what the account changed of one kind in a namespace, in its order; what was refused is left out."""
    return [
        (event["verb"], event["objectRef"]["name"])
        for event in _events(log, account)
        if event["objectRef"].get("namespace") == namespace
        and event["objectRef"]["resource"] == resource
        and event["verb"] not in ("get", "list", "watch")
        and _decision(event) != "forbid"
    ]


def _events(log: Path, account: str) -> list[dict[str, Any]]:
    found = (json.loads(line) for line in log.read_text().splitlines())
    return [event for event in found if event["user"]["username"] == account and "objectRef" in event]


def _decision(event: dict[str, Any]) -> str:
    return str((event.get("annotations") or {}).get("authorization.k8s.io/decision"))


def _right(event: dict[str, Any]) -> Right:
    target = event["objectRef"]
    parts = (target["resource"], target.get("subresource"))
    return Right(target.get("apiGroup", ""), "/".join(part for part in parts if part), event["verb"])
