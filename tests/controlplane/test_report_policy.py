"""The account that all workload pods of a namespace share: a token writes the report of its own pod, and nothing else."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.faults import SHARING, FaultyClient, Operator
from cluster.fixtures import REPOSITORY
from cluster.operator_process import Api, until, with_token
from cluster.train_jobs import train_job

from hack.cluster import tools
from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Kubectl
from hack.cluster.probe import wait_for
from lore_operator.__main__ import PLANNERS
from lore_operator.children.report_access import SHARED
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.errors import Forbidden, Invalid
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import CONFIG_MAPS, JOBS, PODS, ROLES, SERVICE_ACCOUNTS

REPORT = {"data": {"report.json": "{}"}}
_INDEX = "batch.kubernetes.io/job-completion-index"
Login = Callable[[str | None], Awaitable[KubeClient]]


@pytest.fixture(scope="module")
def policy(kubectl: Kubectl) -> Iterator[None]:
    """The chart's policy is in force; it takes the API server a moment to notice one."""
    only = ("--show-only", "templates/reportpolicy.yaml")
    command = [tools.require("helm"), "template", "lore", REPOSITORY / "charts/lore", *only]
    rendered = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    found = list(yaml.safe_load_all(rendered))
    kubectl.apply(*found)
    wait_for("the policy is in force", lambda: refuses_a_workload(kubectl), 60.0)
    yield
    for item in found:
        kubectl("delete", item["kind"], item["metadata"]["name"])


def refuses_a_workload(kubectl: Kubectl) -> bool:
    who = (f"--as=system:serviceaccount:default:{SHARED}", "--as-group=system:masters")
    try:
        kubectl("annotate", "configmap", "kube-root-ca.crt", "-n", "default", "a=b", "--dry-run=server", *who)
    except ClusterError as error:
        return "workload pod" in str(error)
    return False


async def begin(api: Api, *names: str) -> list[list[str]]:
    """Train jobs one after the other; what the operator created for each."""
    created: list[list[str]] = []
    for name in names:
        await api.create(train_job(name))
        async with FaultyClient() as client:
            operator = Operator(client, api.namespace, PLANNERS, SHARING)
            await operator.settle(Key("RelevanceTrainJob", api.namespace, name), client.journal)
            created.append(client.created())
    return created


@pytest.fixture
async def login(api: Api, kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Login]:
    """A client with a token of the shared account that is bound to a Job's pod, as the kubelet would mount it."""
    administrator = Path(kubectl.kubeconfig)
    async with AsyncExitStack() as clients:

        async def of_pod(job: str | None) -> KubeClient:
            bound = await _bound(api, job) if job else ()
            token = kubectl("create", "token", SHARED, "-n", api.namespace, *bound).strip()
            monkeypatch.setenv(
                "KUBECONFIG", str(with_token(administrator, token, tmp_path / f"{job}.kubeconfig".replace("/", "-")))
            )
            return await clients.enter_async_context(KubeClient(connect, manager="pod"))

        yield of_pod


async def _bound(api: Api, job: str) -> tuple[str, ...]:
    """Arguments for a token that is bound to the pod of a Job, `JOB`, or of one of its indexes, `JOB/INDEX`."""
    name, _, index = job.partition("/")

    async def pods() -> list[dict[str, Any]]:
        found = [pod["metadata"] for pod in await api.items(PODS)]
        own = [pod for pod in found if pod["labels"]["job-name"] == name]
        return [pod for pod in own if not index or pod["labels"][_INDEX] == index]

    (metadata,) = await until(pods, bool)
    return (
        "--bound-object-kind=Pod",
        f"--bound-object-name={metadata['name']}",
        f"--bound-object-uid={metadata['uid']}",
    )


async def test_a_job_is_three_creates_and_the_namespaces_account_is_made_once(api: Api) -> None:
    first, second = await begin(api, "first", "second")

    shared = [f"create {kind} {SHARED}" for kind in ("ServiceAccount", "Role", "RoleBinding")]
    assert first[:3] == shared
    assert [len(first), len(second)] == [6, 3]
    assert second == [
        "create ConfigMap second-sft-a1",
        "create Job second-sft-a1",
        "create ConfigMap second-sft-a1-report",
    ]


async def test_a_strangers_account_of_that_name_is_a_name_conflict(api: Api) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SHARED}}
    stranger = await api.create(account)
    await begin(api, "demo")

    assert await api.get(SERVICE_ACCOUNTS, SHARED) == stranger
    assert await api.items(JOBS) == []


async def test_a_shared_role_that_was_widened_is_put_right(api: Api) -> None:
    await begin(api, "first")
    before = (await api.get(ROLES, SHARED))["rules"]
    wide = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "patch"]}]
    await api.patch(ROLES, SHARED, {"rules": wide})
    await begin(api, "second")

    assert (await api.get(ROLES, SHARED))["rules"] == before


OTHERS = {
    "the config": ("one-sft-a1", {"metadata": {"annotations": {"a": "b"}}}),
    "another job's report": ("two-sft-a1-report", REPORT),
    "another job's report, to read it": ("two-sft-a1-report", {}),
    "anything else": ("kube-root-ca.crt", {}),
    "a label of its report": ("one-sft-a1-report", {"metadata": {"labels": {"lore-platform.io/attempt": "2"}}, **REPORT}),
    "a note of the operator": ("one-sft-a1-report", {"metadata": {"annotations": {"lore-platform.io/published": "x"}}}),
    "another key of its report": ("one-sft-a1-report", {"data": {"record.json": "{}"}}),
    "who owns its report": ("one-sft-a1-report", {"metadata": {"ownerReferences": None}}),
    "a finalizer": ("one-sft-a1-report", {"metadata": {"finalizers": ["example.com/stay"]}}),
}  # fmt: skip


async def test_a_pods_token_writes_its_own_report_and_nothing_else(policy: None, api: Api, login: Login) -> None:
    await begin(api, "one", "two")
    pod, other, nobody = await login("one-sft-a1"), await login("two-sft-a1"), await login(None)

    await pod.merge(CONFIG_MAPS, api.namespace, "one-sft-a1-report", REPORT)
    assert (await api.get(CONFIG_MAPS, "one-sft-a1-report"))["data"] == REPORT["data"]
    for what, (name, patch) in OTHERS.items():
        with pytest.raises((Forbidden, Invalid)):
            pytest.fail(f"{what}: {await pod.merge(CONFIG_MAPS, api.namespace, name, patch)}")
    for client in (other, nobody):
        with pytest.raises((Forbidden, Invalid)):
            await client.merge(CONFIG_MAPS, api.namespace, "one-sft-a1-report", REPORT)
    with pytest.raises(Forbidden):
        await pod.get(CONFIG_MAPS, api.namespace, "one-sft-a1-report")


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "plain"])
async def test_the_longest_names_still_find_their_report(policy: None, api: Api, login: Login, indexed: bool) -> None:
    await begin(api, "one")
    rendered, report = await api.get(JOBS, "one-sft-a1"), await api.get(CONFIG_MAPS, "one-sft-a1-report")
    pod = {"spec": rendered["spec"]["template"]["spec"]}
    name = "x" * 60
    mode = {"completionMode": "Indexed", "completions": 1} if indexed else {}
    long = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {**mode, "template": pod}}
    await api.create(long)
    kept = {field: report["metadata"][field] for field in ("labels", "annotations", "ownerReferences")}
    await api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**kept, "name": f"{name}-report"}})

    await (await login(name)).merge(CONFIG_MAPS, api.namespace, f"{name}-report", REPORT)


@pytest.mark.parametrize("name", ["shards", "y" * 60])
async def test_a_shard_writes_its_own_key_and_leaves_the_others_alone(
    policy: None, api: Api, login: Login, name: str
) -> None:
    await begin(api, "one")
    rendered, report = await api.get(JOBS, "one-sft-a1"), await api.get(CONFIG_MAPS, "one-sft-a1-report")
    template = {"spec": rendered["spec"]["template"]["spec"]}
    spec = {"completionMode": "Indexed", "completions": 11, "parallelism": 11, "template": template}
    await api.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
    kept = {field: report["metadata"][field] for field in ("labels", "annotations", "ownerReferences")}
    await api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**kept, "name": f"{name}-report"}})
    first, last = await login(f"{name}/0"), await login(f"{name}/10")

    await first.merge(CONFIG_MAPS, api.namespace, f"{name}-report", REPORT)
    await last.merge(CONFIG_MAPS, api.namespace, f"{name}-report", {"data": {"shard-10.json": "{}"}})
    assert (await api.get(CONFIG_MAPS, f"{name}-report"))["data"] == {"report.json": "{}", "shard-10.json": "{}"}
    for data in ({"report.json": "x"}, {"report.json": None}, {"shard-1.json": "{}"}, None):
        with pytest.raises((Forbidden, Invalid)):
            pytest.fail(f"{data}: {await last.merge(CONFIG_MAPS, api.namespace, f'{name}-report', {'data': data})}")
