"""The Kubernetes side of the platform: types, pure builders and decisions, and the engine that carries them out."""
