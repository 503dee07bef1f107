"""KServe's controller in Standard mode: its kinds, its shipped configuration and rights, and its webhooks."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster import files, probe, tools
from hack.cluster.network import NODE_ADDRESS
from hack.cluster.plane import Plane
from hack.cluster.process import Daemon

NAMESPACE = "kserve"
_SERVICE = "kserve-webhook-server-service"
_WEBHOOK_PORT = 9443
_HEALTH_PORT = 8091
_METRICS_PORT = 8090
_READY_SECONDS = 120.0
# What this cluster changes of the configuration that KServe ships: no Knative, no Istio, no Ingress controller.
_CHANGES: dict[str, dict[str, object]] = {
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {"disableIngressCreation": True, "disableIstioVirtualHost": True},
}


@dataclass(frozen=True)
class KServe:
    """The controller as a process on the node, with the rights that its own manifests give it."""

    plane: Plane

    @property
    def daemon(self) -> Daemon:
        """The process."""
        return Daemon("kserve-manager", self.plane.directory)

    def start(self) -> None:
        """Start it; returns when its webhooks answer and are registered."""
        manifests = tools.manifests("kserve")
        kubectl = self.plane.kubectl
        kubectl.apply_definitions(_definitions(manifests / "crd" / "full"))
        kubectl.apply(_namespace())
        kubectl.apply(*self._configuration(manifests), *self._rights(manifests), *_service())
        self.daemon.start(
            [
                *self.plane.enter,
                tools.require("kserve-manager"),
                "--leader-elect=false",
                f"--metrics-addr={NODE_ADDRESS}:{_METRICS_PORT}",
                f"--health-probe-addr={NODE_ADDRESS}:{_HEALTH_PORT}",
                f"--webhook-port={_WEBHOOK_PORT}",
            ],
            {"POD_NAMESPACE": NAMESPACE, "KUBECONFIG": str(self._kubeconfig()), "TMPDIR": str(self._certificates())},
        )
        health = f"http://{NODE_ADDRESS}:{_HEALTH_PORT}/readyz"
        probe.wait([self.daemon], lambda: probe.answers(health), _READY_SECONDS)
        kubectl.apply(*self._webhooks(manifests))

    def _kubeconfig(self) -> Path:
        return self.plane.client_kubeconfig("kserve", f"system:serviceaccount:{NAMESPACE}:kserve-controller-manager")

    def _certificates(self) -> Path:
        """The folder for temporary files in which the controller looks for its serving certificate."""
        folder = self.plane.directory / "kserve"
        target = folder / "k8s-webhook-server" / "serving-certs"
        names = (f"{_SERVICE}.{NAMESPACE}.svc", f"{_SERVICE}.{NAMESPACE}.svc.cluster.local")
        serving = self.plane.authority.server("kserve-webhook", names)
        for name, source in (("tls.crt", serving.certificate), ("tls.key", serving.key)):
            files.write(target / name, source.read_bytes(), 0o600)
        return folder

    def _configuration(self, manifests: Path) -> Iterable[dict[str, Any]]:
        """The whole shipped ConfigMap: the controller refuses a partial one."""
        [shipped] = self.plane.kubectl.read(manifests / "configmap" / "inferenceservice.yaml")
        data = {key: value for key, value in shipped["data"].items() if key != "_example"}
        for key, changes in _CHANGES.items():
            data[key] = json.dumps({**json.loads(data[key]), **changes})
        yield {**shipped, "metadata": {"name": shipped["metadata"]["name"], "namespace": NAMESPACE}, "data": data}

    def _rights(self, manifests: Path) -> Iterable[dict[str, Any]]:
        yield from self.plane.kubectl.read(manifests / "rbac" / "role.yaml")
        for binding in self.plane.kubectl.read(manifests / "rbac" / "role_binding.yaml"):
            yield {**binding, "subjects": [{**subject, "namespace": NAMESPACE} for subject in binding["subjects"]]}

    def _webhooks(self, manifests: Path) -> Iterable[dict[str, Any]]:
        """The shipped registrations with their placeholders filled in and the authority they are to trust."""
        bundle = base64.b64encode(self.plane.authority.certificate.read_bytes()).decode()
        for registration in self.plane.kubectl.read(manifests / "webhook" / "manifests.yaml"):
            for webhook in registration["webhooks"]:
                webhook["clientConfig"]["service"].update(name=_SERVICE, namespace=NAMESPACE)
                webhook["clientConfig"]["caBundle"] = bundle
            yield {**registration, "metadata": {"name": registration["metadata"]["name"]}}


def _definitions(folder: Path) -> list[Path]:
    """The kinds that the controller watches in Standard mode."""
    return [
        *sorted(folder.glob("*serving.kserve.io_*.yaml")),
        *(folder / "clusterstoragecontainer").glob("*.io_*.yaml"),
    ]


def _namespace() -> dict[str, Any]:
    # The label keeps the pod webhook out of the controller's own namespace.
    labels = {"control-plane": "kserve-controller-manager"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _service() -> list[dict[str, Any]]:
    """The Service that the registrations name, standing for a process on the node instead of a pod."""
    metadata = {"name": _SERVICE, "namespace": NAMESPACE}
    labels = {"kubernetes.io/service-name": _SERVICE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": _WEBHOOK_PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": _WEBHOOK_PORT, "protocol": "TCP"}],
            "endpoints": [{"addresses": [NODE_ADDRESS]}],
        },
    ]
