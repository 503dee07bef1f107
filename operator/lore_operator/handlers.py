"""kopf's part: it watches the four kinds and says which object changed. No decision, no write happens here."""

from collections.abc import Callable
from typing import Any, Final

from lore_operator.engine.framework import kopf
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import KINDS

_PAGE: Final = 200
"""So many resources at a time, where thousands are there at the start."""
_IDLE_SECONDS: Final = 0.5
"""kopf keeps the last event of a resource, body and all, for so long after it."""

Changed = Callable[[Key, dict[str, Any], bool], None]
"""Called with the key, the resource as it came, and whether it was deleted. Called from kopf's thread."""


class _NoBase(kopf.DiffBaseStorage):  # type: ignore[misc]
    """Nothing to compare an object with: for every event kopf would else copy the whole object, twice, and compare."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> None:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        """Nothing is kept on the objects."""


class _NoProgress(kopf.ProgressStorage):  # type: ignore[misc]
    """No progress of handlers: the queue keeps what is tried again."""

    def fetch(self, *, key: Any, body: Any) -> None:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        """Nothing is kept on the objects."""

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        """Nothing was kept."""

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        """Nothing is kept on the objects."""

    def clear(self, *, essence: Any) -> Any:
        return essence


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
    async def came(event: dict[str, Any], **_: Any) -> None:
        resource = event["object"]
        metadata = resource["metadata"]
        changed(Key(kind, metadata["namespace"], metadata["name"]), resource, event["type"] == "DELETED")

    kopf.on.event(group, version, plural, registry=registry, id=plural)(came)


def settings() -> kopf.OperatorSettings:
    """Kopf keeps no state on the objects and posts nothing; what it logs of an event is of no interest."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True
    found.persistence.diffbase_storage = _NoBase()
    found.persistence.progress_storage = _NoProgress()
    found.watching.inactivity_timeout = 90
    found.watching.chunk_size = _PAGE
    found.queueing.idle_timeout = _IDLE_SECONDS
    return found
