"""How far live traffic has moved from the shares that the strata snapshot was built from: a pure comparison.

Shares are told in whole percent, and what is told stays until the live share is a whole point away from it, so that
traffic that merely trembles writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lore_core.router.config import STRATA, Stratum
from lore_operator.api.v1alpha1.deployment import Drift
from lore_operator.plan.types import RouterEndpoint

DRIFTED: Final = "StrataDrifted"
_PERCENT: Final = 100
_REMEDY: Final = "build a snapshot from a newer log (lore strata build) and name it in spec.strata"


@dataclass(frozen=True)
class Share:
    """One stratum's share of requests, in percent: of the snapshot's log, and of the last 24 hours."""

    stratum: Stratum
    expected: int
    live: int

    @property
    def apart(self) -> int:
        """Points between the two."""
        return abs(self.live - self.expected)


def shares(
    snapshot: str, routers: Iterable[RouterEndpoint], drift: Drift, told: Sequence[Mapping[str, Any]]
) -> tuple[Share, ...]:
    """Shares of the stable snapshot (its digest); none where routers do not tell them or saw too few queries.

    `told` is what status has of it now.
    """
    states = [endpoint.state.traffic for endpoint in routers if endpoint.state is not None]
    found = [traffic for traffic in states if traffic is not None and traffic.strata == snapshot]
    queries = {stratum: sum(traffic.queries.get(stratum, 0) for traffic in found) for stratum in STRATA}
    total = sum(queries.values())
    if total < drift.min_queries:
        return ()
    before = {item.get("stratum"): item.get("live") for item in told}
    return tuple(
        Share(stratum, round(_PERCENT * expected), _steady(before.get(stratum), _PERCENT * queries[stratum] / total))
        for stratum, expected in ((stratum, found[0].expected.get(stratum, 0.0)) for stratum in STRATA)
    )


def alert(found: Iterable[Share], drift: Drift) -> str | None:
    """What the condition says; None where every stratum is within bounds."""
    apart = [share for share in found if share.apart > drift.max_points]
    if not apart:
        return None
    words = ", ".join(f"{share.stratum} {share.live} % beside {share.expected} %" for share in apart)
    return (
        f"of the last 24 hours' queries: {words} in the snapshot's log (drift.maxPoints {drift.max_points}); {_REMEDY}"
    )


def _steady(before: Any, percent: float) -> int:
    return before if isinstance(before, int) and abs(percent - before) < 1.0 else round(percent)
