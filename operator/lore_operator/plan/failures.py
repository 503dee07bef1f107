"""What Jobs and pods tell about a failure or a wait, in one documented reason and words that say what to do."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from lore_operator.children.overrides import MAIN

_MAX_TAIL: Final = 1500
_REMEDY: Final = {
    "OOMKilled": "the container used more memory than its limit: raise runner.resources.limits.memory or lower the batch",
    "Evicted": "the node ran out of a resource: set requests that cover the use",
    "DeadlineExceeded": "the pod ran longer than allowed",
}
_WAITS: Final = {
    "ImagePullBackOff": "check the image name and imagePullSecrets",
    "ErrImagePull": "check the image name and imagePullSecrets",
    "InvalidImageName": "check the image name",
    "CreateContainerConfigError": "check that the Secret named by secretRef exists",
    "CreateContainerError": "check the pod's events",
}
# The kubelet tells of a volume that cannot be mounted in Events only: the pod's status just goes on saying this.
_STARTS: Final = {
    "ContainerCreating": "the image is pulled or volumes are mounted; where this stays, check that the Secrets of secretRef "
    "and the claims of pvc:// uris exist in this namespace",
}


class PodFailure(NamedTuple):
    """The pod that failed first."""

    reason: str
    message: str
    pod: str
    node: str | None
    exit_code: int | None


def pods_of(job: str, pods: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The pods of a Job."""
    label = "batch.kubernetes.io/job-name"
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(label) == job]


def first_failure(pods: Iterable[Mapping[str, Any]]) -> PodFailure | None:
    """The failure that came first: in a gang the others fail because one did."""
    failed = [(when, found) for pod in pods for when, found in _failure(pod)]
    return min(failed, key=_when)[1] if failed else None


def _when(entry: tuple[str, PodFailure]) -> str:
    return entry[0]


def _failure(pod: Mapping[str, Any]) -> list[tuple[str, PodFailure]]:
    status, name = pod.get("status") or {}, pod["metadata"]["name"]
    node = (pod.get("spec") or {}).get("nodeName")
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated") or {}
        if container.get("name") == MAIN and ended and ended.get("exitCode") != 0:
            reason = str(ended.get("reason") or "Error")
            reason = "PodFailed" if reason in ("Error", "ContainerStatusUnknown") else reason
            text = _words(reason, ended.get("message"), ended.get("exitCode"))
            return [(str(ended.get("finishedAt") or "9"), PodFailure(reason, text, name, node, ended.get("exitCode")))]
    if status.get("phase") == "Failed":
        reason = str(status.get("reason") or "PodFailed")
        return [("9", PodFailure(reason, _words(reason, status.get("message"), None), name, node, None))]
    return []


def _words(reason: str, tail: str | None, exit_code: int | None) -> str:
    said = (tail or "").strip()[-_MAX_TAIL:]
    parts = [_REMEDY.get(reason, ""), f"exit code {exit_code}" if exit_code is not None else "", said]
    return "; ".join(part for part in parts if part)


def waiting(pods: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Reason and words where a pod does not run yet: no node, no image, no Secret, or only still starting."""
    found = list(pods)
    hindered = (wait for pod in found for wait in (*_unscheduled(pod), *_held(pod, _WAITS)))
    starting = (("PodStarting", text) for pod in found for _, text in _held(pod, _STARTS))
    return next(itertools.chain(hindered, starting), None)


def _unscheduled(pod: Mapping[str, Any]) -> list[tuple[str, str]]:
    conditions = (pod.get("status") or {}).get("conditions") or []
    wanted = (item for item in conditions if item.get("type") == "PodScheduled" and item.get("status") == "False")
    return [("Unschedulable", f"pod {pod['metadata']['name']}: {item.get('message', '')}") for item in wanted]


def _held(pod: Mapping[str, Any], remedies: Mapping[str, str]) -> list[tuple[str, str]]:
    """Containers that wait for one of these reasons, with its remedy."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    states = ((item.get("state") or {}).get("waiting") or {} for item in containers)
    return [
        (
            state["reason"],
            f"pod {pod['metadata']['name']}: {' '.join(filter(None, (state.get('message'), f'({text})')))}",
        )
        for state in states
        if (text := remedies.get(state.get("reason", "")))
    ]


def describe(failure: Mapping[str, Any]) -> str:
    """A failure in one line: what, where in the input, in which pod."""
    spots = [f"{name} {failure[name]}" for name in ("file", "line", "field") if failure.get(name) is not None]
    pod = f"pod {failure['pod']}" if failure.get("pod") else ""
    node = f"on {failure['node']}" if failure.get("node") else ""
    code = f"exit code {failure['exitCode']}" if failure.get("exitCode") is not None else ""
    where = ", ".join(part for part in [*spots, " ".join(filter(None, (pod, node))), code] if part)
    text = f"{failure.get('reason', 'JobFailed')}: {failure.get('message', '')}"
    return f"{text} ({where})" if where else text
