"""The Gateway API HTTPRoute to one router (Gateway API v1: https://gateway-api.sigs.k8s.io/reference/spec/#httproute)."""

from collections.abc import Mapping
from typing import Any, Final

from lore_operator.api.v1alpha1.deployment import Router
from lore_operator.api.v1alpha1.entrances import GatewayParent, GatewayRoute
from lore_operator.children.labels import ROLE, owner_labels, owner_reference
from lore_operator.children.router import router_name

KIND: Final = "HTTPRoute"
_GROUP: Final = "gateway.networking.k8s.io"
_PATHS: Final = ("/v1", "/v2")
"""What is for callers; the rest is for probes, Prometheus and the operator."""
_PORT, _TLS_PORT = 80, 443


def gateway_route(resource: Mapping[str, Any], router: Router, wanted: GatewayRoute) -> dict[str, Any]:
    """The HTTPRoute. A router with TLS is reached on its port 443, which the Gateway must be told to speak TLS to."""
    metadata = resource["metadata"]
    name = router_name(metadata["name"])
    backend = {"group": "", "kind": "Service", "name": name, "port": _PORT if router.tls is None else _TLS_PORT}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in _PATHS],
        "backendRefs": [{**backend, "weight": 1}],
    }
    hostnames = {"hostnames": list(wanted.hostnames)} if wanted.hostnames else {}
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**owner_labels(resource["kind"], metadata["name"]), ROLE: "entrance"},
            "ownerReferences": [owner_reference(resource)],
        },
        "spec": {"parentRefs": [_parent(parent) for parent in wanted.parents], **hostnames, "rules": [rule]},
    }


def _parent(parent: GatewayParent) -> dict[str, str]:
    optional = {"namespace": parent.namespace, "sectionName": parent.section_name}
    given = {field: value for field, value in optional.items() if value is not None}
    return {"group": _GROUP, "kind": "Gateway", "name": parent.name, **given}
