"""The rendered children against a real API server with the restricted pod security profile."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from unit.children.golden import GOLDEN, render

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl

pytestmark = pytest.mark.usefixtures("kserve_kinds", "entrance_kinds", "jobset_kind")


@pytest.fixture(scope="module")
def jobset_kind(kubectl: Kubectl) -> Iterator[None]:
    """JobSet's own definition while these tests run; others want a cluster without it."""
    (definition,) = (tools.manifests("jobset") / "crd" / "bases").glob("*_jobsets.yaml")
    kubectl.apply_definitions([definition])
    yield
    kubectl("delete", "crd", "jobsets.jobset.x-k8s.io", "--timeout=60s")


def children(name: str, namespace: str) -> list[dict[str, Any]]:
    """Owned by nobody: the server would let the garbage collector have them."""
    found = list(yaml.safe_load_all(render(name)))
    for item in found:
        item["metadata"] |= {"namespace": namespace}
        item["metadata"].pop("ownerReferences")
        for subject in item.get("subjects", ()):
            subject["namespace"] = namespace
    return found


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_every_child_is_accepted_with_no_unknown_field(kubectl: Kubectl, namespace: str, name: str) -> None:
    for item in children(name, namespace):
        kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(item))


@pytest.mark.parametrize("name", ["eval.yaml", "head.yaml", "train-student.yaml"])
def test_the_pods_are_admitted_under_the_restricted_profile(kubectl: Kubectl, namespace: str, name: str) -> None:
    (job,) = (item for item in children(name, namespace) if item["kind"] == "Job")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": namespace}}
    spec = job["spec"]["template"]["spec"]
    # Sidecars that a user adds are theirs to secure.
    spec |= {"containers": spec["containers"][:1], "serviceAccountName": "default"}
    spec.pop("priorityClassName", None)

    kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod | {"spec": spec}))
