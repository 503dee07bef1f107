"""kopf's part: it watches the four kinds and says which object changed. No decision, no write happens here."""

from collections.abc import Callable, Mapping
from typing import Any

from lore_operator.engine.framework import kopf
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import KINDS

Changed = Callable[[Key, str, bool], None]
"""Called with the key, its resourceVersion, and whether it was deleted. Called from kopf's thread."""


def registry_of(changed: Changed, connect: Callable[[], kopf.ConnectionInfo]) -> kopf.OperatorRegistry:
    """A registry whose handlers only pass keys on."""
    registry = kopf.OperatorRegistry()

    def login(**_: Any) -> kopf.ConnectionInfo:
        return connect()

    kopf.on.login(registry=registry)(login)

    for resource in KINDS.values():
        _watch(registry, resource.group, resource.version, resource.plural, resource.kind, changed)
    return registry


def _watch(registry: kopf.OperatorRegistry, group: str, version: str, plural: str, kind: str, changed: Changed) -> None:
    async def event(type: str | None, meta: Mapping[str, Any], **_: Any) -> None:
        changed(Key(kind, meta["namespace"], meta["name"]), meta["resourceVersion"], type == "DELETED")

    kopf.on.event(group, version, plural, registry=registry, id=plural)(event)


def settings() -> kopf.OperatorSettings:
    """Kopf keeps no state on the objects and posts nothing; what it logs of an event is of no interest."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True
    found.watching.inactivity_timeout = 90
    return found
