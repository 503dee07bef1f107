"""Every test here talks to a real API server with its controllers; nodes there are none."""

from cluster.fixtures import control_plane, kubeconfig, kubectl, namespace
from cluster.operator_process import api, operator, operator_account

__all__ = ["api", "control_plane", "kubeconfig", "kubectl", "namespace", "operator", "operator_account"]
