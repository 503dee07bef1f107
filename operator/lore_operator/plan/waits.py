"""Why a pod does not run yet: no pod, no node, no image, no Secret, or only still starting."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from lore_operator.api.reasons import REASONS, remedy
from lore_operator.plan.attempts import Record, suspended
from lore_operator.plan.conditions import moment
from lore_operator.plan.draft import Draft
from lore_operator.plan.failures import pods_of

_HELD: Final = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
"""Waiting reasons of the kubelet that do not pass by themselves."""
_NO_POD_YET: Final = timedelta(seconds=30)
_CAPACITY: Final = re.compile(r"Insufficient ([\w./-]+\w)|(Too many pods)")


class Wait(NamedTuple):
    """What an attempt waits for. `hindered` says that it will not pass by itself."""

    reason: str
    message: str
    pod: str | None = None
    node: str | None = None
    hindered: bool = True

    def failure(self, **where: Any) -> dict[str, Any] | None:
        """As `status.failure`; None for what is only a matter of time."""
        if not self.hindered:
            return None
        found = {"reason": self.reason, "message": self.message, "pod": self.pod, "node": self.node, **where}
        return {name: value for name, value in found.items() if value is not None}


def waiting(pods: Iterable[Mapping[str, Any]]) -> Wait | None:
    """What pods wait for, what hinders one before what only takes its time."""
    found = list(pods)
    hindered = (wait for pod in found for wait in (*_unscheduled(pod), *_held(pod)))
    return next(itertools.chain(hindered, (wait for pod in found for wait in _starting(pod))), None)


def attempt_waits(draft: Draft, record: Record | None) -> Wait | None:
    """What a running attempt waits for, as its pods and its Job tell. Without a pod a Job is given half a minute."""
    if record is None or record.job is None:
        return None
    kind, name, made = record.job["kind"], record.job["metadata"]["name"], record.pods_job or {}
    if held := suspended(record.job) or suspended(made):
        since = f" since {held['lastTransitionTime']}" if held.get("lastTransitionTime") else ""
        return Wait("Queued", f"{kind} {name} is suspended{since}: {REASONS['Queued'].meaning}", hindered=False)
    pods = pods_of(made["metadata"]["name"], draft.observed.pods) if made else []
    if pods or (made.get("status") or {}).get("active") or (record.report or {}).get("data"):
        return waiting(pods)
    created = record.job["metadata"].get("creationTimestamp")
    due = moment(created) + _NO_POD_YET if created else draft.now
    if draft.now < due:
        draft.wake(due)
        return None
    return Wait("PodsNotCreated", f"{kind} {name} has no pod. {remedy('PodsNotCreated')}")


def _unscheduled(pod: Mapping[str, Any]) -> Iterator[Wait]:
    for item in (pod.get("status") or {}).get("conditions") or ():
        if item.get("type") == "PodScheduled" and item.get("status") == "False":
            name, said = pod["metadata"]["name"], str(item.get("message", ""))
            short = sorted({first or "pods" for first, _ in _CAPACITY.findall(said)})
            reason = "InsufficientCapacity" if short else "Unschedulable"
            what = f" needs more {', '.join(short)} than any node has free" if short else ""
            yield Wait(reason, f"pod {name}{what}: {said} {remedy(reason)}", name)


def _held(pod: Mapping[str, Any]) -> Iterator[Wait]:
    for state in _waiting_states(pod):
        if (reason := state.get("reason", "")) in _HELD:
            name = pod["metadata"]["name"]
            said = state.get("message") or REASONS[reason].meaning
            yield Wait(reason, f"pod {name}: {said} {remedy(reason)}", name, (pod.get("spec") or {}).get("nodeName"))


def _starting(pod: Mapping[str, Any]) -> Iterator[Wait]:
    # The kubelet tells of a volume that cannot be mounted in Events only: the pod's status just goes on saying this.
    if any(state.get("reason") == "ContainerCreating" for state in _waiting_states(pod)):
        known = REASONS["PodStarting"]
        yield Wait(known.name, f"pod {pod['metadata']['name']}: {known.meaning} {known.remedy}", hindered=False)


def _waiting_states(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [(item.get("state") or {}).get("waiting") or {} for item in containers]
