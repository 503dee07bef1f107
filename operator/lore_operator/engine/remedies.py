"""What a person does where the cluster lacks what the operator needs: a right, a kind, a version. Texts only, no I/O."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

OLDEST: Final = (1, 30)
"""The oldest Kubernetes that is supported (docs/support.md); the chart refuses older ones as well."""
KUEUE: Final = "kueue.x-k8s.io"
MONITORING: Final = "monitoring.coreos.com"

_PROVIDERS: Final = {
    "serving.kserve.io": "install KServe 0.20, without which nothing can be served; the other kinds work",
    "gateway.networking.k8s.io": "install the Gateway API's definitions and a controller, or leave out router.gateway",
    "jobset.x-k8s.io": "install JobSet 0.12, or leave spec.workload at Job",
    "lore-platform.io": "apply the definitions: kubectl apply --server-side -k crds",
}
_DENIED: Final = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)
_ACCOUNT: Final = re.compile(r"system:serviceaccount:(?P<namespace>[^:]+):(?P<name>[^:]+)")


class ClusterTooOld(Exception):
    """The API server is older than what is supported; nothing is begun."""


def check_version(version: Mapping[str, Any]) -> None:
    """Judges the answer of `/version`. Raises ClusterTooOld."""
    found = tuple(int(re.sub(r"\D", "", str(version.get(part, ""))) or 0) for part in ("major", "minor"))
    if found < OLDEST:
        said, oldest = version.get("gitVersion", found), ".".join(map(str, OLDEST))
        raise ClusterTooOld(f"this cluster runs Kubernetes {said}; {oldest} or newer is needed: upgrade the cluster")


def for_denied(message: str) -> str:
    """The commands that grant what RBAC refused, from the API server's own words; empty where they are about something else."""
    found = _DENIED.search(message)
    if found is None:
        return ""
    plural, _, subresource = found["resource"].partition("/")
    resource = f"{plural}.{found['group']}" if found["group"] else plural
    resource += f"/{subresource}" if subresource else ""
    name = f"lore-{found['verb']}-{found['resource'].replace('/', '-')}"
    account = _ACCOUNT.fullmatch(found["user"])
    subject = f"--serviceaccount={account['namespace']}:{account['name']}" if account else f"--user={found['user']}"
    kind, where = ("role", f" -n {found['namespace']}") if found["namespace"] else ("clusterrole", "")
    return (
        "; the chart of this version grants it to the namespaces it serves, or run:"
        f" kubectl create {kind} {name} --verb={found['verb']} --resource={resource}{where}"
        f" && kubectl create {kind}binding {name} --{kind}={name} {subject}{where}"
    )


def for_missing_kind(path: str) -> str:
    """What to install where a create finds that nobody serves its path."""
    group = next((name for name in _PROVIDERS if path.startswith(f"/apis/{name}/")), None)
    words = _PROVIDERS[group] if group else "install what serves it"
    return f"; the cluster does not serve this kind: {words}. It is noticed once it is there"


def for_queue(queue: str) -> str:
    """What to do where a Job is meant for a queue and no Kueue would hold it back."""
    return (
        f"runner.queueName is {queue}, and the cluster does not serve {KUEUE}: the pods would start at once, past every"
        " quota. Install Kueue, which is noticed once it is there, or leave out queueName"
    )


def for_left_out_monitors(kinds: Collection[str]) -> str:
    """What to do where the Prometheus operator came after the chart was installed."""
    return (
        f"the chart left out {', '.join(kinds)} when {MONITORING} was not served, and it is now:"
        " run helm upgrade with the values you have, and it adds them"
    )
