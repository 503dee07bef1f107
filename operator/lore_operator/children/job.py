"""The Job around a workload pod: one try, and any failure fails it at once; trying again is the operator's decision."""

from collections.abc import Mapping
from typing import Any, Final

from lore_operator.children.labels import RENDERED_BY, SHARDS, owner_reference
from lore_operator.children.overrides import MAIN
from lore_operator.children.pod import Workload, pod_template
from lore_operator.children.settings import Settings

QUEUE: Final = "kueue.x-k8s.io/queue-name"
DISRUPTION_RULE: Final = 0
"""Index of the rule for pods that the cluster took away: the Job controller's message names it."""

_FAILURE_POLICY: Final = {
    "rules": [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": MAIN, "operator": "NotIn", "values": [0]}},
    ]
}

_SHARD_POLICY: Final = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}
_TRIES_A_SHARD: Final = 1
"""Further pods of a shard after its first one failed; what it had finished is not scored again."""


def sharded(found: dict[str, Any], shards: int) -> dict[str, Any]:
    """The same Job with one pod a shard: a pod that fails fails its shard alone, and the others go on."""
    spec = {name: value for name, value in found["spec"].items() if name != "backoffLimit"}
    indexed = {"completionMode": "Indexed", "completions": shards, "parallelism": shards}
    limits = {"backoffLimitPerIndex": _TRIES_A_SHARD, "podFailurePolicy": _SHARD_POLICY}
    labels = {**found["metadata"]["labels"], SHARDS: str(shards)}
    return {**found, "metadata": {**found["metadata"], "labels": labels}, "spec": {**indexed, **spec, **limits}}


def job(
    resource: Mapping[str, Any],
    workload: Workload,
    settings: Settings,
    *,
    nodes: int | None = None,
    queue: str | None = None,
) -> dict[str, Any]:
    """A Job with one pod, or with `nodes` an Indexed Job of so many pods. One for a queue is born suspended."""
    labels = {**workload.labels, **({QUEUE: queue} if queue else {})}
    indexed = {"completionMode": "Indexed", "completions": nodes, "parallelism": nodes} if nodes else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": workload.attempt.job,
            "namespace": workload.namespace,
            "labels": labels,
            "annotations": {RENDERED_BY: settings.version},
            "ownerReferences": [owner_reference(resource)],
        },
        "spec": {
            **indexed,
            **({"suspend": True} if queue else {}),
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": _FAILURE_POLICY,
            "template": pod_template(workload, settings),
        },
    }  # fmt: skip
