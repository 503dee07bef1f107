"""Installs the chart with Helm."""

import subprocess
from collections.abc import Mapping
from typing import Final

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
            f"helm {arguments[0]} failed: {done.stderr.strip()}\n"
            f"look at the operator: kubectl --kubeconfig {kubectl.kubeconfig} --namespace {NAMESPACE} describe pods"
        )
    return done.stdout


def _images(references: Mapping[str, str]) -> list[str]:
    options = []
    for component, reference in references.items():
        repository, _, tag = reference.rpartition(":")
        options += ["--set-string", f"images.{component}.repository={repository},images.{component}.tag={tag}"]
    return options
