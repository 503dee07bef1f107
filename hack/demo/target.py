"""The cluster that the demo runs on: the one that KUBECONFIG names, else the one-node cluster of hack/."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import external, storage, tools
from hack.cluster.kubectl import Kubectl
from hack.cluster.node import Node
from hack.cluster.paths import cluster_directory
from hack.demo.errors import DemoError
from hack.images import build as images
from hack.images.recipe import COMPONENTS


@dataclass(frozen=True)
class Target:
    """A running cluster. `node` is None where the cluster is the user's own."""

    kubectl: Kubectl
    node: Node | None

    @property
    def kubeconfig(self) -> Path:
        """Its kubeconfig."""
        return self.kubectl.kubeconfig

    def describe(self) -> str:
        """One line for people."""
        return "the one-node cluster of hack/" if self.node else f"your cluster ({self.kubeconfig})"

    def provide_images(self) -> Mapping[str, str]:
        """Build what is missing and bring it where the cluster finds it; component → reference."""
        references = images.build(COMPONENTS)
        if self.node is not None:
            images.load_into(self.node.containerd.socket, list(references.values()))
            return references
        registry = os.environ.get("LORE_REGISTRY", "")
        return {component: images.push(reference, registry) for component, reference in references.items()}

    def provide_volume(self, namespace: str, claim: str) -> None:
        """On the node of hack/ a claim needs a volume that is there already; elsewhere the storage class makes one."""
        if self.node is not None:
            volumes = storage.volume(self.node.plane.directory, namespace, claim)
            self.kubectl.apply(*(item for item in volumes if item["kind"] == "PersistentVolume"))


@contextmanager
def target(keep: bool) -> Iterator[Target]:
    """The cluster, up for the length of the block; with `keep`, or if it was up before, it stays."""
    node = Node(cluster_directory("node"))
    named = external.kubeconfig(node.kubeconfig)
    if named is not None:
        _check_own_cluster()
        yield Target(Kubectl(tools.ensure("kubectl"), Path(named)), None)
        return
    node.check()
    tools.ensure_profile("node")
    was_up = node.is_running()
    try:
        node.start()
        yield Target(node.plane.kubectl, node)
    finally:
        if not keep and not was_up:
            node.delete()


def _check_own_cluster() -> None:
    if not os.environ.get("LORE_REGISTRY"):
        raise DemoError(
            "KUBECONFIG names a cluster of yours, which must be able to pull the images: set LORE_REGISTRY to a registry "
            "that you can push to and it can pull from, e.g. registry.example.com/team; or unset KUBECONFIG"
        )
