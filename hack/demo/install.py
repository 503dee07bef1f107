"""Installs the chart with Helm."""

import subprocess
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hack.cluster import tools
from hack.cluster.kubectl import Kubectl
from hack.demo.data import ROOT
from hack.demo.errors import DemoError

NAMESPACE: Final = "lore-system"
RELEASE: Final = "lore"


def install(kubectl: Kubectl, references: Mapping[str, str]) -> None:
    """Install or upgrade the release and wait until the operator is ready."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    helm(
        kubectl,
        "upgrade",
        "--install",
        RELEASE,
        str(ROOT / "charts" / "lore"),
        "--wait",
        "--timeout=5m",
        *_images(references),
    )


def helm(kubectl: Kubectl, *arguments: str) -> str:
    """Run helm in the operator's namespace; DemoError with its own words."""
    command = [str(tools.ensure("helm")), f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={NAMESPACE}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(
            "\n".join(
                (
                    f"helm {arguments[0]} failed: {done.stderr.strip()}",
                    *unready(kubectl.get("pods", "--namespace", NAMESPACE)["items"]),
                    f"look closer: kubectl --kubeconfig {kubectl.kubeconfig} --namespace {NAMESPACE} describe pods",
                )
            )
        )
    return done.stdout


def unready(pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each pod that is not ready: why it is not placed, evicted, or what its container waits for."""
    found = []
    for pod in pods:
        status = pod.get("status", {})
        conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
        if conditions.get("Ready", {}).get("status") == "True":
            continue
        placed = conditions.get("PodScheduled", {})
        waits = [
            entry["state"]["waiting"] for entry in status.get("containerStatuses", ()) if "waiting" in entry["state"]
        ]
        told = [status, placed if placed.get("status") == "False" else {}, *waits]
        said = [f"{one.get('reason', '')} {one.get('message', '')}".strip() for one in told]
        found.append(
            f"pod {pod['metadata']['name']}, {status.get('phase')}: {'; '.join(filter(None, said)) or 'not ready yet'}"
        )
    return found


def _images(references: Mapping[str, str]) -> list[str]:
    options = []
    for component, reference in references.items():
        repository, _, tag = reference.rpartition(":")
        options += ["--set-string", f"images.{component}.repository={repository},images.{component}.tag={tag}"]
    return options
