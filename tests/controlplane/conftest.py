"""Every test here talks to a real API server with its controllers; nodes there are none."""

from cluster.fixtures import control_plane, kubeconfig, kubectl, namespace

__all__ = ["control_plane", "kubeconfig", "kubectl", "namespace"]
