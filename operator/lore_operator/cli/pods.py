"""Which pods do an object's work now, from the labels that the operator gives them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lore_core.cli import EXIT_USAGE
from lore_operator.children.disruption import KSERVE_NAME
from lore_operator.children.labels import ATTEMPT, ROLE, STAGE, owner_of
from lore_operator.cli.kubectl import CannotTell, Object


class Wanted(NamedTuple):
    """A part of the object; empty for its newest, or for a deployment's router."""

    stage: str = ""
    tier: str = ""


def pods_of(resource: Object, pods: Sequence[Object], wanted: Wanted) -> list[str]:
    """Names of the pods, first rank first. CannotTell where the object has no such part."""
    kind = resource["kind"]
    if kind == "RelevanceModel":
        raise CannotTell("a RelevanceModel has no pods; ask for the train job that published it", EXIT_USAGE)
    own = [pod for pod in pods if owner_of(pod) == (kind, resource["metadata"]["name"])]
    if kind == "RelevanceDeployment":
        return _names(_serving(resource, own, pods, wanted))
    if wanted.tier:
        raise CannotTell("--tier goes with a RelevanceDeployment", EXIT_USAGE)
    return _names(_newest([pod for pod in own if wanted.stage in ("", _labels(pod).get(STAGE))]))


def _serving(resource: Object, own: Sequence[Object], pods: Sequence[Object], wanted: Wanted) -> Iterator[Object]:
    if wanted.stage:
        raise CannotTell("--stage goes with a RelevanceTrainJob", EXIT_USAGE)
    if wanted.tier in ("", "head"):
        # The head is served by the routers; the pods that are its own are those that build it.
        role = {"router"} if not wanted.tier else {role for pod in own if (role := _labels(pod).get(ROLE)) != "router"}
        yield from (pod for pod in own if _labels(pod).get(ROLE) in role)
        return
    tiers = {tier["stratum"]: tier.get("backend") for tier in (resource.get("status") or {}).get("tiers") or ()}
    if wanted.tier not in tiers:
        raise CannotTell(f"no tier {wanted.tier}; it has {', '.join(sorted(tiers)) or 'none yet'}", EXIT_USAGE)
    yield from (pod for pod in pods if _labels(pod).get(KSERVE_NAME) == tiers[wanted.tier])


def _newest(pods: list[Object]) -> list[Object]:
    """The pods of the attempt that began last."""
    if not pods:
        return []
    last = max(pods, key=lambda pod: (str(pod["metadata"].get("creationTimestamp")), pod["metadata"]["name"]))
    part = [_labels(last).get(label) for label in (STAGE, ATTEMPT)]
    return [pod for pod in pods if [_labels(pod).get(label) for label in (STAGE, ATTEMPT)] == part]


def _labels(pod: Object) -> Mapping[str, Any]:
    return dict(pod["metadata"].get("labels") or {})


def _names(pods: Sequence[Object] | Iterator[Object]) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in pods)
