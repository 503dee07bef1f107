"""The fault run on the one-node cluster: our operator, KServe, kubelet and kube-proxy between the routers and the stubs."""
