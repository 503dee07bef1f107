"""The node's own components: kubelet, kube-proxy and CoreDNS, with their files and arguments."""

import json
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import files, probe, tools
from hack.cluster.network import NODE_ADDRESS
from hack.cluster.plane import Plane
from hack.cluster.process import Daemon
from hack.cluster.runtime import Containerd

NODE = "lore-node"
_READY_SECONDS = 120.0
_PROXY_PORT = 10256
_DNS_READY_PORT = 8181


@dataclass(frozen=True)
class NodeComponents:
    """What makes a node of the machine, beside its container runtime."""

    plane: Plane
    containerd: Containerd

    def daemons(self) -> list[Daemon]:
        """The components in the order in which they start."""
        return [Daemon(name, self._directory) for name in ("kubelet", "kube-proxy", "coredns")]

    def start(self) -> None:
        """Start them; returns when the node is Ready, Services are routed and names resolve."""
        kubelet, proxy, dns = self.daemons()
        enter = self.plane.enter
        kubelet.start([*enter, tools.require("kubelet"), *self._kubelet()])
        proxy.start([*enter, tools.require("kube-proxy"), f"--config={self._proxy_configuration()}"])
        dns.start([*enter, tools.require("coredns"), "-conf", self._corefile()])
        probe.wait([proxy], lambda: probe.answers(f"http://{NODE_ADDRESS}:{_PROXY_PORT}/healthz"), _READY_SECONDS)
        probe.wait([dns], lambda: probe.answers(f"http://{NODE_ADDRESS}:{_DNS_READY_PORT}/ready"), _READY_SECONDS)
        probe.wait([kubelet], self._ready, _READY_SECONDS)

    def stop(self) -> None:
        """Stop them; the containers of the pods still run."""
        for daemon in reversed(self.daemons()):
            daemon.stop()

    @property
    def _directory(self) -> Path:
        return self.plane.directory

    def _ready(self) -> bool:
        query = "--output=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
        return self.plane.kubectl("get", "nodes", query) == "True"

    def _kubelet(self) -> list[str]:
        kubeconfig = self.plane.client_kubeconfig("kubelet-node", f"system:node:{NODE}", ("system:nodes",))
        return [
            f"--config={self._write('kubelet.json', json.dumps(self._kubelet_configuration()))}",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_ADDRESS}",
            f"--root-dir={self._directory / 'kubelet'}",
        ]

    def _kubelet_configuration(self) -> dict[str, object]:
        serving = self.plane.authority.server("kubelet", (NODE, NODE_ADDRESS))
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.plane.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [NODE_ADDRESS],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
            # Pods that ask for the node's own DNS must not get the machine's: it is unreachable from here.
            "resolvConf": str(self._write("resolv.conf", f"nameserver {NODE_ADDRESS}\n")),
            "podLogsDir": str(self._directory / "pod-logs"),
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            # The disk is the developer's: the node neither evicts for it nor deletes images.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
        }

    def _proxy_configuration(self) -> Path:
        kubeconfig = self.plane.client_kubeconfig("kube-proxy", "system:kube-proxy")
        configuration = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "hostnameOverride": NODE,
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            # The kernel's table sizes are the machine's and stay as they are.
            "conntrack": {"maxPerCore": 0, "min": 0},
            # Pods share one bridge: without this an answer would go straight to the asking pod, which waits for the
            # Service's address.
            "iptables": {"masqueradeAll": True},
            "healthzBindAddress": f"{NODE_ADDRESS}:{_PROXY_PORT}",
        }
        return self._write("kube-proxy.json", json.dumps(configuration))

    def _corefile(self) -> Path:
        kubeconfig = self.plane.client_kubeconfig("coredns", "coredns")
        self.plane.kubectl.apply(*_dns_rights())
        return self._write(
            "Corefile",
            f"""\
.:53 {{
  bind {NODE_ADDRESS}
  errors
  ready {NODE_ADDRESS}:{_DNS_READY_PORT}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig "{kubeconfig}"
    ttl 5
  }}
}}
""",
        )

    def _write(self, name: str, text: str) -> Path:
        return files.write(self._directory / name, text)


def _dns_rights() -> list[dict[str, object]]:
    group = "rbac.authorization.k8s.io"
    verbs = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ]
    metadata = {"name": "coredns"}
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "coredns"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "coredns"}],
        },
    ]
