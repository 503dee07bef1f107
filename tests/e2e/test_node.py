"""What the node of hack/ gives to whoever runs pods on it."""

import base64
import shutil
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs
from cluster import manifests
from cluster.cli import run_cli

from hack.cluster import probe, storage
from hack.cluster.command import run
from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Kubectl
from hack.cluster.network import Network
from hack.cluster.node import Node

pytestmark = pytest.mark.usefixtures("node")

_CLAIM = "workspace"


@pytest.fixture
def claim(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    printed = run_cli("volume", "--namespace", namespace, "--claim", _CLAIM)
    kubectl("apply", "--filename=-", stdin=printed.stdout)
    yield _CLAIM
    kubectl("delete", f"persistentvolume/{namespace}-{_CLAIM}", "--wait=false")


@pytest.fixture
def credentials(node: Node) -> dict[str, str]:
    data = node.store.secret("default", "s3")["stringData"]
    assert isinstance(data, dict)
    return data


@pytest.fixture
def inference_service(kubectl: Kubectl, namespace: str, busybox: str) -> dict[str, Any]:
    serve = manifests.container(busybox, "exec httpd -f -p 8080 -h /etc", name="kserve-container")
    predictor = {"containers": [serve], "securityContext": manifests.POD_SECURITY}
    metadata = {"name": "tiny", "namespace": namespace}
    service = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": metadata}
    kubectl.apply({**service, "spec": {"predictor": predictor}})
    kubectl("wait", "--for=condition=Ready", "--timeout=120s", f"--namespace={namespace}", "inferenceservice/tiny")
    return kubectl.get("inferenceservice/tiny", f"--namespace={namespace}")


def finish(kubectl: Kubectl, namespace: str, name: str) -> str:
    """Wait until the pod has ended, expect success, and return what it printed."""
    where = f"--namespace={namespace}"

    def phase() -> str:
        return str(kubectl.get(f"pod/{name}", where)["status"]["phase"])

    probe.wait_for(f"the end of pod {name}", lambda: phase() in {"Succeeded", "Failed"}, 120)
    printed = kubectl("logs", where, name)
    assert phase() == "Succeeded", printed
    return printed


def test_two_pods_of_an_indexed_job_meet_by_name(kubectl: Kubectl, namespace: str, busybox: str) -> None:
    peer = f"gang-0.gang.{namespace}.svc.cluster.local"
    script = (
        f'if [ "$JOB_COMPLETION_INDEX" = 0 ]; then nc -l -p 8080; '
        f'else until echo "from rank 1" | nc -w 5 {peer} 8080; do sleep 0.2; done; fi'
    )
    where, labels = {"name": "gang", "namespace": namespace}, {"app": "gang"}
    selector = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels}
    spec = manifests.pod_spec([manifests.container(busybox, script)], subdomain="gang")
    template = {"metadata": {"labels": labels}, "spec": spec}
    job = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 0, "template": template}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": where, "spec": selector},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": where, "spec": job},
    )

    kubectl("wait", "--for=condition=Complete", "--timeout=120s", f"--namespace={namespace}", "job/gang")

    said = kubectl("logs", f"--namespace={namespace}", "--selector=batch.kubernetes.io/job-completion-index=0")
    assert said.strip() == "from rank 1"


def test_two_pods_write_one_volume_as_the_projects_user(
    kubectl: Kubectl, namespace: str, busybox: str, claim: str
) -> None:
    mount = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    volumes = [{"name": "shared", "persistentVolumeClaim": {"claimName": claim}}]
    scripts = {
        "first": "echo one >/shared/first; until [ -e /shared/second ]; do sleep 0.2; done; cat /shared/second",
        "second": "echo two >/shared/second; until [ -e /shared/first ]; do sleep 0.2; done; stat -c %u /shared/first",
    }
    for name, script in scripts.items():
        spec = manifests.pod_spec([manifests.container(busybox, script, **mount)], volumes=volumes)
        kubectl.apply(manifests.pod(namespace, name, spec))

    printed = [finish(kubectl, namespace, name).strip() for name in scripts]

    assert printed == ["two", "65532"]


def test_an_object_put_over_verified_tls_is_got_back(credentials: dict[str, str], tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text(credentials["ca.crt"])
    store = s3fs.S3FileSystem(
        key=credentials["accessKeyId"],
        secret=credentials["secretAccessKey"],
        endpoint_url=credentials["endpoint"],
        client_kwargs={"region_name": credentials["region"], "verify": str(authority)},
        skip_instance_cache=True,
    )

    store.pipe_file(f"{storage.BUCKET}/deep/er/object", b"\x00relevance")

    assert store.cat_file(f"{storage.BUCKET}/deep/er/object") == b"\x00relevance"


def test_the_object_store_is_not_trusted_without_the_private_authority(credentials: dict[str, str]) -> None:
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(credentials["endpoint"], context=ssl.create_default_context(), timeout=30)


def test_a_pod_reaches_the_object_store_by_name(kubectl: Kubectl, namespace: str, busybox: str) -> None:
    script = f"nc -w 20 {storage.HOST} 443 </dev/null && echo reached"
    kubectl.apply(manifests.pod(namespace, "probe", manifests.pod_spec([manifests.container(busybox, script)])))

    assert finish(kubectl, namespace, "probe").strip() == "reached"


def test_an_inference_service_becomes_ready_in_standard_mode(inference_service: dict[str, Any]) -> None:
    assert inference_service["status"]["deploymentMode"] == "Standard"


def test_the_machine_reaches_a_service_by_its_address(
    kubectl: Kubectl, namespace: str, inference_service: dict[str, Any]
) -> None:
    name = f"{inference_service['metadata']['name']}-predictor"
    address = kubectl.get(f"service/{name}", f"--namespace={namespace}")["spec"]["clusterIP"]

    # Ready says nothing of kube-proxy, which follows a moment later.
    probe.wait_for(f"an answer from {address}", lambda: probe.answers(f"http://{address}/hostname"), 60)


def test_kserves_defaulting_webhook_adds_a_limit_nobody_asked_for(inference_service: dict[str, Any]) -> None:
    [container] = inference_service["spec"]["predictor"]["containers"]

    assert container["resources"]["limits"] == {"cpu": "1", "memory": "64Mi"}


def test_kserves_validating_webhook_refuses_what_the_schema_allows(
    kubectl: Kubectl, namespace: str, busybox: str
) -> None:
    metadata = {"name": "wrong", "namespace": namespace}
    replicas = {"minReplicas": 3, "maxReplicas": 2, "containers": [manifests.container(busybox, "true")]}
    service = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": metadata}

    with pytest.raises(ClusterError, match=r"inferenceservice\.kserve-webhook-server\.validator"):
        kubectl.apply({**service, "spec": {"predictor": replicas}})


def test_kserves_pod_webhook_sees_predictor_pods(
    kubectl: Kubectl, namespace: str, inference_service: dict[str, Any]
) -> None:
    selector = f"--selector=serving.kserve.io/inferenceservice={inference_service['metadata']['name']}"

    [pod] = kubectl.get("pods", f"--namespace={namespace}", selector)["items"]

    names = [entry["name"] for entry in pod["spec"]["containers"][0].get("env", [])]
    assert "INFERENCE_SERVICE_NAME" in names


def test_commands_run_inside_a_pod(kubectl: Kubectl, namespace: str, inference_service: dict[str, Any]) -> None:
    deployment = f"deployment/{inference_service['metadata']['name']}-predictor"

    assert kubectl("exec", f"--namespace={namespace}", deployment, "--", "id", "-u").strip() == "65532"


def test_the_printed_secret_is_one_that_the_cluster_takes(node: Node, kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "--filename=-", stdin=run_cli("s3-secret", "--namespace", namespace).stdout)

    data = kubectl.get("secret/s3", f"--namespace={namespace}")["data"]

    assert sorted(data) == ["accessKeyId", "ca.crt", "endpoint", "region", "secretAccessKey"]
    assert base64.b64decode(data["endpoint"]).decode() == node.store.endpoint


def test_an_imported_image_is_named_and_runs(kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    archive, name = tmp_path / "own.oci.tar", f"localhost/own-{namespace}:1"
    (tmp_path / "busybox").write_bytes(Path(shutil.which("busybox") or "").read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    recipe = tmp_path / "Containerfile"
    recipe.write_text('FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT ["/bin/busybox", "echo", "own"]\n')
    run("buildah", "build", "--quiet", "--isolation=chroot", f"--tag=oci-archive:{archive}:{name}", tmp_path)

    imported = run_cli("import-image", str(archive))

    own = manifests.container(name, "")
    del own["command"]
    kubectl.apply(manifests.pod(namespace, "own", manifests.pod_spec([own])))
    assert (imported.stdout.strip(), finish(kubectl, namespace, "own").strip()) == (name, "own")


def test_a_second_node_beside_it_is_refused(node: Node) -> None:
    with pytest.raises(ClusterError, match="another cluster runs here; stop it, or name it with KUBECONFIG"):
        Network(f"{node.network.name[:-1]}x").up()
