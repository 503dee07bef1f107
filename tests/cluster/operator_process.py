"""The operator as its users run it: a process of its own, with a ServiceAccount that has the chart's rules and no more."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from cluster.fixtures import REPOSITORY

from hack.cluster.kubectl import Kubectl
from lore_operator.engine import resources
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.resources import Resource

Seen = TypeVar("Seen")
IMAGES = {"LORE_TRAINER_IMAGE": "trainer:test", "LORE_SERVER_IMAGE": "server:test", "LORE_ROUTER_IMAGE": "router:test"}
_ACCOUNT = "lore-operator"


class OperatorProcess:
    """One operator that looks at one namespace. `stop` asks it to end, `kill` does not ask."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path, variables: Mapping[str, str] = IMAGES) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LORE_")},
            **variables,
            "KUBECONFIG": str(kubeconfig),
            "LORE_NAMESPACES": namespace,
            "LORE_HTTP_PORT": "0",
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lore_operator"], env=self._environment, stdout=log, stderr=log, cwd=REPOSITORY
            )

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def wait(self) -> int:
        """Its exit status, once it ends by itself."""
        assert self._process is not None
        return self._process.wait(60)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a node that loses power."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(30)

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]


_NOT_LISTED = (
    resources.INFERENCE_SERVICES, resources.INFERENCE_GRAPHS, resources.HTTP_ROUTES, resources.JOB_SETS,
    resources.EVENTS, resources.BUDGETS,
)  # fmt: skip
"""Kinds that not every cluster of these tests serves, and those whose versions others move."""


class Api:
    """What a person does with kubectl, for one namespace, as the administrator."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.client, self.namespace = client, namespace

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create an object in the namespace."""
        metadata = {"namespace": self.namespace, **manifest["metadata"]}
        return await self.client.create({**manifest, "metadata": metadata}, _resource(manifest))

    async def get(self, resource: Resource, name: str) -> dict[str, Any]:
        """One object."""
        return await self.client.get(resource, self.namespace, name)

    async def names(self, resource: Resource) -> list[str]:
        """Names of all objects of a kind."""
        return sorted(item["metadata"]["name"] for item in await self.items(resource))

    async def items(self, resource: Resource) -> list[dict[str, Any]]:
        """All objects of a kind."""
        return (await self.client.list_all(resource, self.namespace)).items

    async def patch(self, resource: Resource, name: str, patch: dict[str, Any], subresource: str | None = None) -> None:
        """Merge-patch an object."""
        await self.client.merge(resource, self.namespace, name, patch, subresource)

    async def versions(self) -> dict[str, str]:
        """resourceVersion of every object that the operator may write."""
        written = [
            kind for kind in resources.ALL if set(kind.verbs) & {"create", "patch"} or kind in resources.KINDS.values()
        ]
        return {
            f"{kind.kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for kind in written
            # A budget's status is the disruption controller's, which counts pods whenever it likes.
            if kind not in _NOT_LISTED
            for item in await self.items(kind)
        }


def _resource(manifest: dict[str, Any]) -> Resource:
    known = {(kind.api_version, kind.kind): kind for kind in resources.ALL}
    return known[manifest["apiVersion"], manifest["kind"]]


def condition(resource: dict[str, Any], type_: str) -> dict[str, Any]:
    """One condition of a resource; empty where it has none."""
    found = resource.get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == type_), {})


async def until(look: Callable[[], Awaitable[Seen]], holds: Callable[[Seen], bool], seconds: float = 240.0) -> Seen:
    """Look again until it holds; AssertionError with what was seen last."""
    end = time.monotonic() + seconds
    while True:
        seen = await look()
        if holds(seen):
            return seen
        if time.monotonic() > end:
            raise AssertionError(
                f"not so within {seconds} s; last seen: {json.dumps(seen, indent=1, default=str)[-4000:]}"
            )
        await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def operator_account(kubectl: Kubectl, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the rights that the chart gives the operator."""
    rules = yaml.safe_load((REPOSITORY / "charts/lore/files/rules.yaml").read_text())["rules"]
    name = {"metadata": {"name": _ACCOUNT}}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    subject = {"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": "default"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _ACCOUNT}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _ACCOUNT, "namespace": "default"}},
        {**rbac, "kind": "ClusterRole", **name, "rules": rules},
        {**rbac, "kind": "ClusterRoleBinding", **name, "roleRef": reference, "subjects": [subject]},
    )
    await_rights(kubectl, f"system:serviceaccount:default:{_ACCOUNT}")
    token = kubectl("create", "token", _ACCOUNT, "--duration=4h").strip()
    return with_token(kubeconfig, token, tmp_path_factory.mktemp("operator") / "kubeconfig")


def await_rights(kubectl: Kubectl, user: str, namespace: str = "", seconds: float = 30.0) -> None:
    """The API server hears of a new binding a moment after it was stored; what is asked before is refused, and logged as that."""
    end = time.monotonic() + seconds
    while not _granted(kubectl, user, namespace):
        if time.monotonic() > end:
            raise AssertionError(f"{user} has no rights {seconds:.0f} s after its binding was made")


def _granted(kubectl: Kubectl, user: str, namespace: str) -> bool:
    wanted = {"verb": "list", "group": "batch", "resource": "jobs", "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": wanted},
    }
    answer = kubectl("create", "--filename=-", "--output=json", "--validate=false", stdin=json.dumps(review))
    return bool(json.loads(answer)["status"]["allowed"])


def with_token(kubeconfig: Path, token: str, path: Path) -> Path:
    """A kubeconfig for the same cluster that logs in with a token."""
    document = json.loads(kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
async def api(kubeconfig: Path, namespace: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """The test's namespace as the administrator sees it."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    async with KubeClient(connect, manager="a-person") as client:
        yield Api(client, namespace)


@pytest.fixture
def operator(operator_account: Path, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """A running operator for the test's namespace."""
    running = OperatorProcess(operator_account, namespace, tmp_path / "operator.log")
    running.start()
    yield running
    running.kill()
    print((tmp_path / "operator.log").read_text()[-8000:])
