"""What the control-plane profile gives to whoever starts it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.cli import run_cli
from cluster.fixtures import REPOSITORY

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Kubectl
from hack.cluster.probe import wait_for
from hack.cluster.process import identity

RESTRICTED_POD = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "main",
            "image": "example.invalid/none",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


@pytest.fixture
def second() -> Iterator[ControlPlane]:
    with ControlPlane.temporary() as running:
        yield running


def config_map(name: str, **metadata: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def owned_by(owner: dict[str, object]) -> list[dict[str, object]]:
    metadata = owner["metadata"]
    assert isinstance(metadata, dict)
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    return [{**reference, "name": metadata["name"], "uid": metadata["uid"]}]


def running(pids: list[int]) -> list[int]:
    return [pid for pid in pids if identity(pid) is not None]


def pids_of(cluster: ControlPlane) -> list[int]:
    return [pid for daemon in cluster.daemons() if (pid := daemon.pid())]


def test_the_server_says_the_version_that_is_pinned(kubectl: Kubectl) -> None:
    version = json.loads(kubectl("version", "--output=json"))["serverVersion"]

    pinned = tools.module_of("kube-apiserver").requirement()
    assert (version["gitVersion"], version["major"], version["minor"]) == (pinned, *pinned[1:].split(".")[:2])


def test_helm_sees_the_servers_version(control_plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: probe\nversion: 0.1.0\n")
    (tmp_path / "templates/version.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: probe}\ndata: {v: {{ .Capabilities.KubeVersion.Version }}}\n"
    )
    helm = [str(tools.require("helm")), "install", "probe", str(tmp_path), "--dry-run=server"]

    shown = subprocess.run(
        [*helm, f"--kubeconfig={control_plane.kubeconfig}"], capture_output=True, text=True, check=True
    )

    assert tools.module_of("kube-apiserver").requirement() in shown.stdout


def test_a_deployment_gets_a_replica_set(kubectl: Kubectl, namespace: str) -> None:
    labels = {"app": "probe"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": RESTRICTED_POD}}
    metadata = {"name": "probe", "namespace": namespace}
    kubectl.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    kubectl("wait", "--for=condition=Progressing", "--timeout=60s", f"--namespace={namespace}", "deployment/probe")

    [replica_set] = kubectl.get("replicasets", f"--namespace={namespace}")["items"]
    assert replica_set["metadata"]["ownerReferences"][0]["name"] == "probe"


def test_a_pod_is_scheduled_to_a_node_with_room(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "paper", "labels": {"paper": "yes"}}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "probe", "namespace": namespace},
            # Nobody sends this node's heartbeats.
            "spec": {**RESTRICTED_POD, "nodeSelector": {"paper": "yes"}, "tolerations": [{"operator": "Exists"}]},
        },
    )
    room = {"status": {"allocatable": {"pods": "10", "cpu": "1", "memory": "1Gi"}}}
    kubectl("patch", "node/paper", "--subresource=status", "--type=merge", f"--patch={json.dumps(room)}")

    where = f"--namespace={namespace}"
    kubectl("wait", "--for=condition=PodScheduled", "--timeout=60s", where, "pod/probe")

    assert kubectl.get("pod/probe", where)["spec"]["nodeName"] == "paper"


def test_a_pod_outside_the_restricted_profile_is_refused(kubectl: Kubectl, namespace: str) -> None:
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        kubectl("run", "probe", "--image=example.invalid/none", f"--namespace={namespace}")


def test_dependents_go_with_their_owner(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(config_map("owner", namespace=namespace))
    owner = kubectl.get("configmap/owner", f"--namespace={namespace}")
    kubectl.apply(config_map("dependent", namespace=namespace, ownerReferences=owned_by(owner)))

    kubectl("delete", "configmap/owner", f"--namespace={namespace}")

    kubectl("wait", "--for=delete", "--timeout=60s", f"--namespace={namespace}", "configmap/dependent")


def test_dependents_go_with_an_owner_of_a_kind_given_at_the_start(tmp_path: Path) -> None:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    names = {"plural": "probes", "singular": "probe", "kind": "Probe"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "probes.example.invalid"},
        "spec": {"group": "example.invalid", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    file = tmp_path / "probe.json"
    file.write_text(json.dumps(definition))
    with ControlPlane.temporary([file]) as cluster:
        probe = {"apiVersion": "example.invalid/v1", "kind": "Probe", "metadata": {"name": "owner"}}
        cluster.kubectl.apply(probe)
        owner = cluster.kubectl.get("probe/owner")
        cluster.kubectl.apply(config_map("dependent", ownerReferences=owned_by(owner)))

        cluster.kubectl("delete", "probe/owner")

        cluster.kubectl("wait", "--for=delete", "--timeout=60s", "configmap/dependent")


def test_two_side_by_side_share_nothing(control_plane: ControlPlane, second: ControlPlane) -> None:
    second.kubectl.apply(config_map("only-here"))

    names = control_plane.kubectl("get", "configmaps", "--namespace=default", "--output=name")

    assert "only-here" not in names


def test_stopping_one_leaves_the_other_running(control_plane: ControlPlane) -> None:
    with ControlPlane.temporary():
        pass

    assert control_plane.kubectl("get", "--raw=/readyz") == "ok"


def test_nothing_is_left_after_the_end() -> None:
    with ControlPlane.temporary() as cluster:
        pids = pids_of(cluster)

    assert (len(pids), running(pids), cluster.directory.exists()) == (4, [], False)


def test_starting_again_restarts_what_died_and_keeps_the_data(tmp_path: Path) -> None:
    cluster = ControlPlane(tmp_path / "cluster")
    with cluster:
        cluster.kubectl.apply(config_map("kept"))
        etcd, apiserver = pids_of(cluster)[:2]
        os.kill(apiserver, signal.SIGKILL)
        wait_for("the killed API server is gone", lambda: identity(apiserver) is None, 60)

        cluster.start()

        assert cluster.kubectl.get("configmap/kept")["metadata"]["name"] == "kept"
        assert pids_of(cluster)[0] == etcd


def test_what_a_killed_process_left_is_stopped_by_the_next(tmp_path: Path) -> None:
    program = (
        "import sys; from hack.cluster.controlplane import ControlPlane\n"
        "cluster = ControlPlane.temporary(); cluster.start()\n"
        "print(cluster.directory, *(daemon.pid() for daemon in cluster.daemons()), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        directory, *pids = process.stdout.readline().split()
        process.kill()

    ControlPlane.temporary().delete()

    assert (len(pids), running([int(pid) for pid in pids]), Path(directory).exists()) == (4, [], False)


def test_a_cluster_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    mine = str(tmp_path / "mine")

    up = run_cli("up", "--profile=control-plane", KUBECONFIG=mine, LORE_CLUSTER_DIR=str(tmp_path / "cluster"))

    assert (up.returncode, up.stdout.splitlines()[-1]) == (0, mine)
    assert "nothing is started" in up.stdout
    assert not (tmp_path / "cluster").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ClusterError, match="LORE_CLUSTER_DIR"), ControlPlane(tmp_path):
        pass

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_missing_binaries_are_an_error_with_the_command_that_builds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORE_CACHE", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    with pytest.raises(ClusterError, match=r"kube-apiserver.*python -m hack\.cluster build --profile control-plane"):
        tools.require_profile("control-plane")


def test_binaries_of_envtest_serve_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORE_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    (tmp_path / "etcd").touch(mode=0o755)

    assert tools.require("etcd") == tmp_path / "etcd"
