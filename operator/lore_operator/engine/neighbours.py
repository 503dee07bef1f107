"""Software beside the operator that a cluster may lack: looked for again and again, and the log says when that changes."""

import logging
from collections.abc import Callable, Collection
from typing import Final, Protocol

from lore_operator.engine.remedies import KUEUE, MONITORING, for_left_out_monitors
from lore_operator.engine.resources import HTTP_ROUTES, INFERENCE_SERVICES, JOB_SETS

_log = logging.getLogger(__name__)

NEIGHBOURS: Final = {
    INFERENCE_SERVICES.group: "KServe",
    KUEUE: "Kueue",
    JOB_SETS.group: "JobSet",
    HTTP_ROUTES.group: "the Gateway API",
    MONITORING: "the Prometheus operator",
}
"""API group → whose it is."""


class Discovery(Protocol):
    """Who knows the cluster's API groups."""

    async def groups(self) -> frozenset[str]:
        """All that are served now."""


class Neighbours:
    """What is there of NEIGHBOURS. `left_out` are the Prometheus operator's kinds that the chart did not install for want of it."""

    def __init__(self, discovery: Discovery, left_out: Collection[str], served: Callable[[str, bool], None]) -> None:
        self._discovery, self._left_out, self._served = discovery, tuple(left_out), served
        self._known: frozenset[str] | None = None

    async def look(self) -> None:
        """Ask once, measure, and log what came or went since the last time. Raises ApiError."""
        found = await self._discovery.groups() & NEIGHBOURS.keys()
        for group in NEIGHBOURS:
            self._served(group, group in found)
        if self._known is None:
            _log.info("this cluster %s", _listed(found))
        for group in found - (self._known or frozenset()):
            self._came(group)
        for group in (self._known or frozenset()) - found:
            _log.warning("%s is gone: %s is not served any more", NEIGHBOURS[group], group)
        self._known = found

    def _came(self, group: str) -> None:
        if self._known is not None:
            _log.info("%s is there now: %s is served", NEIGHBOURS[group], group)
        if group == MONITORING and self._left_out:
            _log.warning(for_left_out_monitors(self._left_out))


def _listed(found: frozenset[str]) -> str:
    there = ", ".join(name for group, name in NEIGHBOURS.items() if group in found)
    absent = ", ".join(name for group, name in NEIGHBOURS.items() if group not in found)
    return f"has {there or 'none of what may stand beside the operator'}; it lacks {absent or 'nothing'}"
