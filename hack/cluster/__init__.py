"""A real Kubernetes control plane, or a whole one-node cluster, on one machine without a container engine.

`python -m hack.cluster --help` lists the commands; `hack/README.md` says how to use them.
"""
