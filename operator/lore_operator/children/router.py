"""The router of one deployment: ConfigMap, pods (router and loader), Service, disruption budget, and what it may read.

The loader alone holds credentials of stores; it fills a sized volume that the router maps read-only. The pods are rendered
once for each set of inputs (`INPUTS` names it) and not again because the operator was upgraded.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.router.config import CONFIG_KEY, CONFIG_MAP_VARIABLE, RouterConfig
from lore_operator.api.v1alpha1.common import SECRET_ROOT, ArtifactRef
from lore_operator.api.v1alpha1.deployment import RelevanceDeployment, Router
from lore_operator.api.v1alpha1.group import GROUP
from lore_operator.children.disruption import budget
from lore_operator.children.labels import RENDERED_BY, ROLE, owner_labels, owner_reference
from lore_operator.children.overrides import MAIN, merged
from lore_operator.children.pod import CONTAINER_SECURITY, POD_SECURITY, WRITABLE
from lore_operator.children.settings import Settings
from lore_operator.children.volumes import GROUP_READABLE, PREFIX, Volumes, add_artifacts

INPUTS: Final = f"{GROUP}/inputs"
PORT: Final = 8080
TLS_PORT: Final = 8443
TLS_FOLDER: Final = "/etc/lore/tls"
TOKENS_FOLDER: Final = "/etc/lore/tokens"
CONFIG_FOLDER: Final = "/etc/lore/router"
DATA_FOLDER: Final = "/var/lib/lore/router"

_RBAC: Final = "rbac.authorization.k8s.io"
_GRACE_SECONDS: Final = 30
_PROBE_SECONDS: Final = 5
# The resolver's five seconds for a lost datagram are a whole deadline, and asking for both address families from one socket is
# what loses them (kubernetes/kubernetes#56903). Predictors' names are whole, so that they need no search list.
_NAME_LOOKUPS: Final = [
    {"name": "timeout", "value": "1"},
    {"name": "attempts", "value": "4"},
    {"name": "ndots", "value": "4"},
    {"name": "single-request-reopen"},
]
_DEFAULT_RESOURCES: Final = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"cpu": "2", "memory": "2Gi"},
}
_LOADER_RESOURCES: Final = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"cpu": "1", "memory": "1Gi"},
}


class Needs(NamedTuple):
    """What the compositions in a router's config need of its pods: what the loader fetches, and Secrets of head stores."""

    artifacts: tuple[ArtifactRef, ...]
    store_secrets: frozenset[str] = frozenset()


def router_name(deployment: str) -> str:
    """Name of all of the router's objects."""
    return f"{deployment}-router"


def config_map(resource: Mapping[str, Any], config: RouterConfig, annotations: Mapping[str, str]) -> dict[str, Any]:
    """The one ConfigMap that routers watch."""
    metadata = _metadata(resource)
    if annotations:
        metadata["annotations"] = dict(annotations)
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {CONFIG_KEY: text}}


def service(resource: Mapping[str, Any], router: Router) -> dict[str, Any]:
    """The address that search backends call. Its labels reach its EndpointSlices, by which the operator finds routers."""
    ports = [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]
    if router.tls is not None:
        ports.append({"name": "https", "port": 443, "targetPort": TLS_PORT, "protocol": "TCP"})
    spec = {"selector": _selector(resource), "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(resource), "spec": spec}


def url(deployment: str, namespace: str, router: Router) -> str:
    """Where questions are answered, inside the cluster."""
    return f"{'https' if router.tls is not None else 'http'}://{router_name(deployment)}.{namespace}.svc.cluster.local"


def disruption_budget(resource: Mapping[str, Any]) -> dict[str, Any]:
    """A drained node takes one router at a time."""
    return budget(_metadata(resource), _selector(resource))


def access(resource: Mapping[str, Any]) -> list[dict[str, Any]]:
    """ServiceAccount, Role and RoleBinding: routers may read their own ConfigMap and nothing else."""
    name = router_name(resource["metadata"]["name"])
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["get", "list", "watch"]}
    binding = {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": resource["metadata"]["namespace"]}],
    }
    head = {"metadata": _metadata(resource)}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", **head, "automountServiceAccountToken": False},
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", **head, "rules": [rule]},
        {"apiVersion": f"{_RBAC}/v1", "kind": "RoleBinding", **head, **binding},
    ]


def inputs_digest(router: Router, needs: Needs) -> str:
    """What the pods are rendered from: the spec's router section, and the claims and Secrets of what they load."""
    claims = sorted({ref.claim for ref in needs.artifacts if ref.claim})
    secrets = sorted({ref.secret_ref.name for ref in needs.artifacts if ref.secret_ref})
    pods = router.model_copy(update={"gateway": None, "inference_graph": None})  # they lie before the pods
    found = {"router": pods.to_wire(), "claims": claims, "secrets": secrets}
    stores = {"storeSecrets": sorted(needs.store_secrets)} if needs.store_secrets else {}
    return sha256_digest(canonical_json({**found, **stores}))


def workload(
    resource: Mapping[str, Any], deployment: RelevanceDeployment, needs: Needs, settings: Settings
) -> dict[str, Any]:
    """The Deployment. Raises InvalidPodTemplate where an override is not allowed."""
    router = deployment.spec.router
    metadata = _metadata(resource)
    metadata["annotations"] = {INPUTS: inputs_digest(router, needs), RENDERED_BY: settings.version}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": router.replicas,
            "selector": {"matchLabels": _selector(resource)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": _template(resource, router, needs, settings),
        },
    }


def _template(resource: Mapping[str, Any], router: Router, needs: Needs, settings: Settings) -> dict[str, Any]:
    name, pods = router_name(resource["metadata"]["name"]), router.runner
    shared, credentials = Volumes([], []), Volumes([], [])
    shared.add(f"{PREFIX}tmp", {"emptyDir": {"sizeLimit": "256Mi"}}, "/tmp")
    shared.add(f"{PREFIX}config", {"configMap": {"name": name}}, CONFIG_FOLDER, read_only=True)
    shared.add(f"{PREFIX}data", {"emptyDir": {"sizeLimit": router.cache_size}}, DATA_FOLDER)
    add_artifacts(credentials, needs.artifacts, None)
    own = _own_secrets(router, needs)
    secrets = dict.fromkeys([*(ref.name for ref in pods.image_pull_secrets), *settings.image_pull_secrets])
    optional = {
        "nodeSelector": dict(pods.node_selector),
        "imagePullSecrets": [{"name": secret} for secret in secrets],
    }
    spec = {
        "serviceAccountName": pods.service_account_name or name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": POD_SECURITY,
        "dnsConfig": {"options": _NAME_LOOKUPS},
        **{field: value for field, value in optional.items() if value},
        "containers": [
            _router(resource, router, settings, [*shared.mounts, *own.mounts]),
            _loader(resource, router, settings, shared, credentials),
        ],
        "volumes": [*shared.volumes, *credentials.volumes, *own.volumes],
    }
    template = {
        "metadata": {"labels": _selector(resource), "annotations": {RENDERED_BY: settings.version}},
        "spec": spec,
    }
    return merged(template, pods.pod_template)


def _router(
    resource: Mapping[str, Any], router: Router, settings: Settings, mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    container = _container(MAIN, "serve", resource, router, settings)
    ports = [{"name": "http", "containerPort": PORT, "protocol": "TCP"}]
    if router.tls is not None:
        container["command"] += ["--tls-folder", TLS_FOLDER, "--tls-port", str(TLS_PORT)]
        ports.append({"name": "https", "containerPort": TLS_PORT, "protocol": "TCP"})
    if router.served_log is not None:
        container["command"] += ["--served-log-percent", str(router.served_log.sample_percent)]
    if router.tokens is not None:
        container["command"] += ["--token-file", f"{TOKENS_FOLDER}/tokens"]
    return {
        **container,
        "ports": ports,
        "resources": _resources(router),
        # A busy node answers late; a router that is taken away or killed for that loses answers which would have come.
        "readinessProbe": {**_asked("/readyz"), "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**_asked("/healthz"), "periodSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [
            {**mount, "readOnly": True} if mount["mountPath"] == DATA_FOLDER else mount for mount in mounts
        ],
    }


def _asked(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": PORT}, "timeoutSeconds": _PROBE_SECONDS}


def _own_secrets(router: Router, needs: Needs) -> Volumes:
    """Secrets that the router alone mounts: certificate, tokens, and credentials of head stores."""
    found = Volumes([], [])
    used = [
        *([("tls", router.tls.secret_ref.name, TLS_FOLDER)] if router.tls else []),
        *([("tokens", router.tokens.secret_ref.name, TOKENS_FOLDER)] if router.tokens else []),
        *((f"store-{n}", name, f"{SECRET_ROOT}/{name}") for n, name in enumerate(sorted(needs.store_secrets))),
    ]
    for name, secret, path in used:
        source = {"secret": {"secretName": secret, "defaultMode": GROUP_READABLE}}
        found.add(f"{PREFIX}{name}", source, path, read_only=True)
    return found


def _loader(
    resource: Mapping[str, Any], router: Router, settings: Settings, shared: Volumes, credentials: Volumes
) -> dict[str, Any]:
    return {
        **_container(f"{PREFIX}loader", "load", resource, router, settings),
        "resources": _LOADER_RESOURCES,
        "volumeMounts": [*shared.mounts, *credentials.mounts],
    }


def _container(name: str, verb: str, resource: Mapping[str, Any], router: Router, settings: Settings) -> dict[str, Any]:
    metadata = resource["metadata"]
    watched = f"{metadata['namespace']}/{router_name(metadata['name'])}"
    command = ["lore", "router", verb, "--config", f"{CONFIG_FOLDER}/{CONFIG_KEY}", "--data", DATA_FOLDER]
    values = {**WRITABLE, **settings.environment, **{item.name: item.value for item in router.runner.env}}
    values[CONFIG_MAP_VARIABLE] = watched
    return {
        "name": name,
        "image": router.image or settings.images.router,
        "imagePullPolicy": settings.image_pull_policy,
        "command": command + (["--port", str(PORT)] if verb == "serve" else []),
        "env": [{"name": variable, "value": value} for variable, value in values.items()],
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _resources(router: Router) -> dict[str, Any]:
    return {
        field: values for field, values in router.runner.resources.to_wire().items() if values
    } or _DEFAULT_RESOURCES


def _selector(resource: Mapping[str, Any]) -> dict[str, str]:
    return {**owner_labels(resource["kind"], resource["metadata"]["name"]), ROLE: "router"}


def _metadata(resource: Mapping[str, Any]) -> dict[str, Any]:
    metadata = resource["metadata"]
    return {
        "name": router_name(metadata["name"]),
        "namespace": metadata["namespace"],
        "labels": _selector(resource),
        "ownerReferences": [owner_reference(resource)],
    }
