"""Requests to one predictor, each a client span of its question."""

from typing import Any

from lore_core.keepalive import KeepAlive
from lore_core.router.spans import asking


class Upstream(KeepAlive):
    """A pool of connections to one predictor."""

    async def post(self, path: str, request: dict[str, Any], headers: str = "") -> dict[str, Any]:
        """One JSON request and its JSON answer. Raises UpstreamError or OSError."""
        with asking(path, self.host, self.port) as trace:
            return await super().post(path, request, trace + headers)
