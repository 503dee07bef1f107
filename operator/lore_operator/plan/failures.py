"""What ended pods tell about a failure, in one documented reason and words that say what to do."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from lore_operator.api.reasons import REASONS
from lore_operator.children.overrides import MAIN

_MAX_TAIL: Final = 1500
_KILLED: Final = 137
_LAST: Final = "9"
"""Sorts after every timestamp."""
_UNSPECIFIC: Final = frozenset({"Error", "ContainerStatusUnknown"})


class PodFailure(NamedTuple):
    """The pod that failed first. `disruption` says why the cluster took it away, if it did."""

    reason: str
    message: str
    pod: str
    node: str | None
    exit_code: int | None
    disruption: str | None = None


def pods_of(job: str, pods: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The pods of a Job."""
    label = "batch.kubernetes.io/job-name"
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(label) == job]


def first_failure(pods: Iterable[Mapping[str, Any]]) -> PodFailure | None:
    """The failure that came first: in a gang the others fail because one did."""
    failed = [entry for pod in pods if (entry := _failure(pod))]
    return min(failed, key=_when)[1] if failed else None


def _when(entry: tuple[str, PodFailure]) -> str:
    return entry[0]


def _failure(pod: Mapping[str, Any]) -> tuple[str, PodFailure] | None:
    """When a pod failed, and how; the kubelet's own verdict on the pod counts before a container's exit code."""
    status, name = pod.get("status") or {}, pod["metadata"]["name"]
    node, taken = (pod.get("spec") or {}).get("nodeName"), _disruption(status)
    container, ended = next(_ended(status), ("", {}))
    if not ended and status.get("phase") != "Failed":
        return None
    code = ended.get("exitCode")
    reason = str(status.get("reason") or container_reason(ended))
    said = str(status.get("message") or ended.get("message") or "").strip()[-_MAX_TAIL:]
    spoken = f"container {container}: {said}" if container and container != MAIN else said
    found = PodFailure(reason, in_words(reason, spoken), name, node, code, taken)
    return str(ended.get("finishedAt") or _LAST), found


def _ended(status: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Containers that ended badly, the main one first: where an init container failed, it never ran."""
    containers = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    for container in sorted(containers, key=_not_main):
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended and ended.get("exitCode") != 0:
            yield container["name"], ended


def _not_main(container: Mapping[str, Any]) -> bool:
    return bool(container["name"] != MAIN)


def container_reason(ended: Mapping[str, Any]) -> str:
    """The documented reason of a container that ended badly."""
    reason = str(ended.get("reason") or "Error")
    if reason not in _UNSPECIFIC:
        return reason
    return "Killed" if ended.get("exitCode") == _KILLED else "PodFailed"


def _disruption(status: Mapping[str, Any]) -> str | None:
    found = [item for item in status.get("conditions") or () if item.get("type") == "DisruptionTarget"]
    said = (f"{item.get('reason', '')}: {item.get('message', '')}" for item in found if item.get("status") == "True")
    return next(said, None)


def in_words(reason: str, said: str) -> str:
    """What happened, what to do, and what was said about it."""
    documented = REASONS.get(reason)
    known = [documented.meaning, documented.remedy] if documented else []
    return " ".join(part for part in [*known, said] if part)


def describe(failure: Mapping[str, Any]) -> str:
    """A failure in one line: what, where in the input, in which pod."""
    spots = [f"{name} {failure[name]}" for name in ("file", "line", "field") if failure.get(name) is not None]
    pod = f"pod {failure['pod']}" if failure.get("pod") else ""
    node = f"on {failure['node']}" if failure.get("node") else ""
    code = f"exit code {failure['exitCode']}" if failure.get("exitCode") is not None else ""
    where = ", ".join(part for part in [*spots, " ".join(filter(None, (pod, node))), code] if part)
    text = f"{failure.get('reason', 'JobFailed')}: {failure.get('message', '')}"
    return f"{text} ({where})" if where else text
