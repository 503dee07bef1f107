"""The kinds of object that the operator reads and writes, and the verbs it needs on each: the source of its RBAC rules."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from lore_operator.engine.keys import Key

GROUP: Final = "lore-platform.io"
VERSION: Final = "v1alpha1"

_SEE: Final = ("list", "watch")
_READ: Final = ("get", *_SEE)
_MAKE: Final = (*_READ, "create")
"""Created once and left to the garbage collector; `get` is for a name that turns out to be taken."""


class Resource(NamedTuple):
    """One kind as the API serves it, and the verbs that the operator uses on it."""

    group: str
    version: str
    plural: str
    kind: str
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of the collection, or of one object, or of a subresource."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, *(("namespaces", namespace) if namespace else ()), self.plural, name, subresource]
        return "/".join(part for part in parts if part)


TRAIN_JOBS: Final = Resource(GROUP, VERSION, "relevancetrainjobs", "RelevanceTrainJob", _READ)
MODELS: Final = Resource(GROUP, VERSION, "relevancemodels", "RelevanceModel", _MAKE)
EVALS: Final = Resource(GROUP, VERSION, "relevanceevals", "RelevanceEval", _READ)
DEPLOYMENTS: Final = Resource(GROUP, VERSION, "relevancedeployments", "RelevanceDeployment", _READ)
KINDS: Final = {resource.kind: resource for resource in (TRAIN_JOBS, MODELS, EVALS, DEPLOYMENTS)}

JOBS: Final = Resource("batch", "v1", "jobs", "Job", (*_MAKE, "delete"))
JOB_SETS: Final = Resource("jobset.x-k8s.io", "v1alpha2", "jobsets", "JobSet", (*_MAKE, "delete"))
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap", (*_MAKE, "patch", "delete"))
SERVICES: Final = Resource("", "v1", "services", "Service", (*_MAKE, "patch", "delete"))
PODS: Final = Resource("", "v1", "pods", "Pod", _SEE)
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount", _MAKE)
ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", (*_MAKE, "patch"))
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", _MAKE)
WORKLOADS: Final = Resource("apps", "v1", "deployments", "Deployment", (*_MAKE, "patch"))
REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision", (*_MAKE, "patch", "delete"))
BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", _MAKE)
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", _SEE)
INFERENCE_SERVICES: Final = Resource(
    "serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService", (*_MAKE, "patch", "delete")
)
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", ("get",))
"""Read where several nodes are to share one; a decision can do without."""
INFERENCE_GRAPHS: Final = Resource(
    "serving.kserve.io", "v1alpha1", "inferencegraphs", "InferenceGraph", (*_MAKE, "patch", "delete")
)
HTTP_ROUTES: Final = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", (*_MAKE, "patch", "delete"))
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease", ("get", "create", "patch"))
"""Of the release's own namespace, and only where there are several operators: the chart gives these rights apart."""
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event", ("create",))

ALL: Final = (
    *KINDS.values(),
    JOBS,
    JOB_SETS,
    CONFIG_MAPS,
    SERVICES,
    PODS,
    SERVICE_ACCOUNTS,
    ROLES,
    ROLE_BINDINGS,
    WORKLOADS,
    REVISIONS,
    BUDGETS,
    ENDPOINT_SLICES,
    INFERENCE_SERVICES,
    CLAIMS,
    INFERENCE_GRAPHS,
    HTTP_ROUTES,
    EVENTS,
)
_BY_TYPE: Final = {(resource.api_version, resource.kind): resource for resource in ALL}


def resource_of(manifest: dict[str, Any]) -> Resource:
    """The resource of a manifest; ValueError for a kind that the operator does not handle."""
    found = _BY_TYPE.get((manifest.get("apiVersion", ""), manifest.get("kind", "")))
    if found is None:
        raise ValueError(f"the operator writes no {manifest.get('kind')} of {manifest.get('apiVersion')}")
    return found


def owners(manifest: dict[str, Any]) -> Iterator[Key]:
    """The custom resources that an object names as owners."""
    metadata = manifest["metadata"]
    for reference in metadata.get("ownerReferences") or ():
        if reference["kind"] in KINDS and reference["apiVersion"].startswith(f"{GROUP}/"):
            yield Key(reference["kind"], metadata["namespace"], reference["name"])
