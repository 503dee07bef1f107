"""The router follows its ConfigMap on a real API server, with the rights that its ServiceAccount gets and no more."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from cluster.operator_process import until

from hack.cluster.kubectl import Kubectl
from lore_core.router.source import ConfigMapClient, config_texts

NAME = "search-router"


def config_map(text: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"router.json": text}}


@pytest.fixture
def client(kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path) -> ConfigMapClient:
    """A client with the token of an account that may read one ConfigMap."""
    metadata = {"name": NAME, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [NAME], "verbs": ["get", "list", "watch"]}
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
        {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": metadata, "subjects": [subject],
         "roleRef": {"apiGroup": rbac, "kind": "Role", "name": NAME}},
    )  # fmt: skip
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    (tmp_path / "token").write_text(kubectl("create", "token", NAME, "-n", namespace).strip())
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return ConfigMapClient(namespace, NAME, cluster["server"], tmp_path)


async def next_of(texts: AsyncIterator[str]) -> str:
    async with asyncio.timeout(120):
        return await anext(texts)


async def test_a_change_arrives_without_waiting_for_the_kubelet(
    client: ConfigMapClient, kubectl: Kubectl, namespace: str
) -> None:
    put = lambda text: kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(config_map(text)))  # noqa: E731
    put("one")
    texts = client.texts()
    assert await next_of(texts) == "one"
    await asyncio.to_thread(put, "two")
    assert await next_of(texts) == "two"
    kubectl("delete", "configmap", NAME, "-n", namespace)
    await asyncio.to_thread(put, "three")
    assert await next_of(texts) == "three"
    await texts.aclose()


async def test_the_file_is_the_copy_for_the_start_and_never_rolls_back(
    client: ConfigMapClient, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    file = tmp_path / "router.json"
    file.write_text("old file")
    texts = config_texts(file, client)
    assert await next_of(texts) == "old file"
    kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(config_map("from the API")))
    assert await next_of(texts) == "from the API"
    file.write_text("another old file")
    kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(config_map("newest")))
    assert await next_of(texts) == "newest"
    await texts.aclose()


async def test_a_forbidden_config_map_is_reported_and_the_file_still_serves(
    client: ConfigMapClient, kubectl: Kubectl, namespace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl("delete", "rolebinding", NAME, "-n", namespace)
    kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(config_map("from the API")))
    file = tmp_path / "router.json"
    file.write_text("from the file")
    texts = config_texts(file, client)
    assert await next_of(texts) == "from the file"
    await until(lambda: asyncio.sleep(0, capsys.readouterr().err), lambda said: "403" in said)
    await texts.aclose()
