"""What a RelevanceModel leaves to be done when it is gone: its bytes, where its deletionPolicy is Delete.

No finalizer holds the model: the record of its bytes outlives it, so no deletion waits for the operator, and one that was
stopped meanwhile finds the record when it starts.
"""

import asyncio
import logging
from collections.abc import Sequence

from lore_operator.api import InvalidResource, parse_model
from lore_operator.children.labels import WATCH_SELECTOR
from lore_operator.children.settings import Settings
from lore_operator.engine import writes
from lore_operator.engine.client import KubeClient, Manifest
from lore_operator.engine.errors import AlreadyExists
from lore_operator.engine.keys import Key
from lore_operator.engine.observe import Observer
from lore_operator.engine.resources import KINDS, MODELS, REVISIONS
from lore_operator.plan.discard import LOOK_AGAIN, Discard, discard, due, wanted_record

_log = logging.getLogger(__name__)


class Leftovers:
    """Carries the decisions of `plan.discard` out. `scopes` are the namespaces that are served; None is all of them."""

    def __init__(
        self, client: KubeClient, observer: Observer, scopes: Sequence[str | None], settings: Settings
    ) -> None:
        self._client, self._observer, self._scopes, self._settings = client, observer, scopes, settings

    async def __call__(self, key: Key, living: Manifest | None) -> float | None:
        """Look at what is left of a model; seconds until it must be looked at again. Raises ApiError."""
        if key.kind != MODELS.kind:
            return None
        wanted = _wanted(living)
        if not due((await self._observer.cached(key, frozenset())).children, wanted):
            return None
        children = (await self._observer.live(key, frozenset())).children
        decided = discard(due(children, wanted), children, await self._everything(), self._settings)
        return await self._carry_out(key, decided)

    async def _everything(self) -> list[Manifest]:
        """Whoever may use bytes, live, in all namespaces that are served."""
        ours = [self._client.list_all(kind, scope) for kind in KINDS.values() for scope in self._scopes]
        revisions = [self._client.list_all(REVISIONS, scope, WATCH_SELECTOR) for scope in self._scopes]
        return [item for listing in await asyncio.gather(*ours, *revisions) for item in listing.items]

    async def _carry_out(self, key: Key, decided: Discard) -> float | None:
        for wanted in decided.apply:
            try:
                self._observer.assume(await writes.create(self._client, wanted), key)
            except AlreadyExists:  # another model's Job removes the same bytes
                return LOOK_AGAIN.total_seconds()
            _log.info("%s: its bytes are being removed by %s %s", key, *wanted.key, extra={"object": str(key)})
        for deletion in decided.delete:
            await writes.delete(self._client, key, deletion)
        for record, user in decided.held.items():
            _log.info("%s: %s waits: %s uses the bytes", key, record, user, extra={"object": str(key)})
        return LOOK_AGAIN.total_seconds() if decided.held else None


def _wanted(living: Manifest | None) -> Manifest | None:
    try:
        return wanted_record(parse_model(living)) if living is not None else None
    except InvalidResource:
        return None
