"""A stage's Job inside a JobSet: JobSet makes the Job and the headless Service; trying again stays the operator's decision."""

from collections.abc import Mapping
from typing import Any, Final

from lore_operator.children.job import QUEUE

API_VERSION: Final = "jobset.x-k8s.io/v1alpha2"
_REPLICATED: Final = "n"
"""Name of the one replicated job; short, since it becomes part of the pods' names."""


def member_name(jobset: str) -> str:
    """The Job that JobSet makes."""
    return f"{jobset}-{_REPLICATED}-0"


def in_jobset(job: Mapping[str, Any]) -> dict[str, Any]:
    """The JobSet that runs a Job's pods. Queue and suspension are its own: Kueue admits the JobSet, not its Job."""
    metadata = job["metadata"]
    labels = {name: value for name, value in metadata["labels"].items() if name != QUEUE}
    member = {
        "metadata": {"labels": labels, "annotations": metadata["annotations"]},
        "spec": {name: value for name, value in job["spec"].items() if name != "suspend"},
    }
    suspended = {"suspend": True} if job["spec"].get("suspend") else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "JobSet",
        "metadata": metadata,
        "spec": {
            **suspended,
            "failurePolicy": {"maxRestarts": 0},
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True, "subdomain": metadata["name"]},
            "replicatedJobs": [{"name": _REPLICATED, "replicas": 1, "template": member}],
        },
    }
