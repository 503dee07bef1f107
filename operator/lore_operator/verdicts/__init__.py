"""What an evaluation found, over HTTP, for gates that are no Kubernetes clients: Argo Rollouts, Kargo, a pipeline (ADR 0013)."""
