"""The KServe InferenceService of one backend, written as KServe's own webhooks would leave it.

KServe 0.20, Standard mode, cluster-local, with a container of ours: an init container fetches the model and verifies every
byte before the server can see it (KServe appends its own initialiser after ours, so a storageUri could not be checked). A
backend with a runtime of KServe's is the exception: what it loads is verified by nobody.
Several deployments may own one; the name says what it serves, so nothing of it is ever changed but owners and replicas.
"""

from collections.abc import Mapping
from typing import Any, Final

from lore_operator.api.v1alpha1.common import SECRET_ROOT, PodSettings, Resources, amount
from lore_operator.api.v1alpha1.group import API_VERSION, GROUP
from lore_operator.api.v1alpha1.tiers import KServeRuntime, Predictor, Replicas
from lore_operator.children.backend import MODEL_FOLDER, PORT, Backend
from lore_operator.children.labels import FIELD_MANAGER, MANAGED_BY, RENDERED_BY, ROLE
from lore_operator.children.overrides import MAIN, merged
from lore_operator.children.pod import CONTAINER_SECURITY, POD_SECURITY, WRITABLE
from lore_operator.children.settings import Settings
from lore_operator.children.volumes import PREFIX, Volumes, add_artifacts, scratch

BACKEND: Final = f"{GROUP}/backend"
"""Annotation with the backend's whole digest; the name holds ten characters of it."""
AUTOSCALER: Final = "serving.kserve.io/autoscalerClass"
CONTAINER: Final = "kserve-container"

_TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_MODELS: Final = f"{PREFIX}models"
_GRACE_SECONDS: Final = 60
_START_PERIOD, _START_TRIES = 5, 360
# KServe would give 1 CPU and 2 GiB where nothing is said, and vLLM dies of that; sized for the small models of one machine.
_DEFAULT_REQUESTS: Final = {"cpu": "500m", "memory": "3Gi"}
_DEFAULT_LIMITS: Final = {"cpu": "2", "memory": "6Gi"}
_FETCH_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


def inference_service(
    owner: Mapping[str, Any], backend: Backend, predictor: Predictor, settings: Settings
) -> dict[str, Any]:
    """The InferenceService, owned by one deployment. Raises InvalidPodTemplate where an override is not allowed."""
    replicas = scale(predictor.replicas)
    runner, runtime = predictor.runner, backend.runtime
    pod = _pod(backend, runner, settings) if runtime is None else _model(backend, runtime, runner, settings)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": backend.name,
            "namespace": owner["metadata"]["namespace"],
            "labels": {
                MANAGED_BY: FIELD_MANAGER,
                ROLE: "backend",
                "networking.kserve.io/visibility": "cluster-local",
            },
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                AUTOSCALER: autoscaler(replicas),
                BACKEND: backend.digest,
                RENDERED_BY: settings.version,
            },
            "ownerReferences": [shared_owner(owner)],
        },
        "spec": {"predictor": {**replicas, **pod}},
    }


def shared_owner(owner: Mapping[str, Any]) -> dict[str, Any]:
    """One of several owners: no controller, and its deletion never waits for the backend."""
    metadata = owner["metadata"]
    return {"apiVersion": API_VERSION, "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}


def scale(replicas: Replicas) -> dict[str, int]:
    """KServe's fields for a number of replicas."""
    return {"minReplicas": replicas.min, "maxReplicas": replicas.max or replicas.min}


def autoscaler(replicas: Mapping[str, int]) -> str:
    """KServe's autoscaler for a number of replicas: none where it is fixed."""
    return "none" if replicas["minReplicas"] == replicas["maxReplicas"] else "hpa"


def _pod(backend: Backend, pods: PodSettings, settings: Settings) -> dict[str, Any]:
    # The model's claim and Secret are mounted into the init container alone: the server sees verified bytes only.
    source = Volumes([], [])
    add_artifacts(source, (backend.model,), None)
    working = scratch(pods.shared_memory)
    working.add(_MODELS, {"emptyDir": {}}, MODEL_FOLDER)
    spec = {
        "securityContext": POD_SECURITY,
        **_settings(pods, settings),
        "initContainers": [_fetch(backend, pods, settings, source, working)],
        "containers": [_server(backend, pods, settings, working)],
        "volumes": [*working.volumes, *source.volumes],
    }
    template = merged({"metadata": {"labels": {}, "annotations": {}}, "spec": spec}, pods.pod_template)
    metadata = {name: value for name, value in template["metadata"].items() if value}
    containers = [
        {**item, "name": CONTAINER} if item["name"] == MAIN else item for item in template["spec"]["containers"]
    ]
    return {**metadata, **template["spec"], "containers": containers}


def _model(backend: Backend, runtime: KServeRuntime, pods: PodSettings, settings: Settings) -> dict[str, Any]:
    """KServe's own way: it joins these arguments to those of the runtime, whose container, probes and security these pods have."""
    return {
        **_settings(pods, settings),
        "model": {
            # Without a name: KServe's webhook refuses one here, and the container keeps the runtime's.
            "modelFormat": {"name": runtime.model_format},
            "runtime": runtime.name,
            "storageUri": runtime.storage_uri,
            "args": ["--served-model-name", backend.name, *backend.arguments, *_tracing(pods)],
            "env": _environment({}, backend.environment, pods, settings),
            "resources": resources(pods.resources),
        },
    }


def _settings(pods: PodSettings, settings: Settings) -> dict[str, Any]:
    """What a pod has whoever's container it runs."""
    secrets = dict.fromkeys([*(ref.name for ref in pods.image_pull_secrets), *settings.image_pull_secrets])
    optional = {
        "serviceAccountName": pods.service_account_name,
        "nodeSelector": dict(pods.node_selector),
        "imagePullSecrets": [{"name": name} for name in secrets],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        **{name: value for name, value in optional.items() if value},
    }


def _fetch(
    backend: Backend, pods: PodSettings, settings: Settings, source: Volumes, working: Volumes
) -> dict[str, Any]:
    model = backend.model
    arguments = ["--uri", model.uri, "--digest", model.digest or "", "--into", MODEL_FOLDER]
    if model.secret_ref is not None:
        arguments += ["--credentials", f"{SECRET_ROOT}/{model.secret_ref.name}"]
    mounts = [mount for mount in working.mounts if mount["mountPath"] in ("/tmp", MODEL_FOLDER)]
    return {
        "name": f"{PREFIX}fetch",
        "image": backend.profile.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["lore", "fetch", *arguments],
        "env": _environment(WRITABLE, {}, pods, settings),
        "resources": _FETCH_RESOURCES,
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, *source.mounts],
    }


def _server(backend: Backend, pods: PodSettings, settings: Settings, working: Volumes) -> dict[str, Any]:
    health = {"httpGet": {"path": "/health", "port": PORT, "scheme": "HTTP"}}
    return {
        "name": MAIN,
        "image": backend.profile.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": [
            *("--model", MODEL_FOLDER, "--served-model-name", backend.name),
            *("--host", "0.0.0.0", "--port", str(PORT)),
            *backend.arguments,
            *_tracing(pods),
        ],
        "env": _environment(WRITABLE, backend.environment, pods, settings),
        "ports": [{"name": "http1", "containerPort": PORT, "protocol": "TCP"}],
        "resources": resources(pods.resources),
        "startupProbe": _probe(health, period=_START_PERIOD, failures=_START_TRIES),
        "readinessProbe": _probe(health, period=5, failures=3),
        "livenessProbe": _probe(health, period=20, failures=6),
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {**mount, "readOnly": True} if mount["mountPath"] == MODEL_FOLDER else mount for mount in working.mounts
        ],
    }


def _probe(check: Mapping[str, Any], *, period: int, failures: int) -> dict[str, Any]:
    return {**check, "periodSeconds": period, "failureThreshold": failures, "successThreshold": 1, "timeoutSeconds": 5}


def _tracing(pods: PodSettings) -> list[str]:
    """VLLM makes spans only where its command line names the receiver."""
    endpoint = next((item.value for item in pods.env if item.name == _TRACES_ENDPOINT), "")
    return ["--otlp-traces-endpoint", endpoint] if endpoint else []


def _environment(
    folders: Mapping[str, str], engine: Mapping[str, str], pods: PodSettings, settings: Settings
) -> list[dict[str, str]]:
    own = {item.name: item.value for item in pods.env}
    return [
        {"name": name, "value": value} for name, value in {**folders, **settings.environment, **own, **engine}.items()
    ]


def resources(given: Resources) -> dict[str, Any]:
    """Requests and limits, cpu and memory always among them, so that no admission default is added.

    A limit alone is a request too. A request alone may grow to this project's default limit, since a predictor that may use
    no more than was set aside for it takes minutes to start where a few seconds are asked.
    """
    requests, limits = dict(given.requests), dict(given.limits)
    for name, default in _DEFAULT_REQUESTS.items():
        asked, most = requests.get(name), limits.get(name)
        requests[name] = asked if asked is not None else most if most is not None else default
        limits[name] = most if most is not None else max(asked or 0, _DEFAULT_LIMITS[name], key=amount)
    return {
        "requests": {name: str(value) for name, value in requests.items()},
        "limits": {name: str(value) for name, value in limits.items()},
    }
