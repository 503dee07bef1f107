import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.fixtures import definitions

from hack.cluster.kubectl import Kubectl

CHART = Path(__file__).resolve().parents[2] / "charts" / "lore"
VALUES = sorted((CHART / "ci").glob("*.yaml"))
DIGEST = "sha256:" + "a" * 64


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def container(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = of_kind(manifests, "Deployment")
    return deployment["spec"]["template"]["spec"]["containers"][0]


def environment(manifests: list[dict[str, Any]]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(manifests)["env"]}


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_helm_finds_nothing_to_complain_about(helm, values):
    done = helm("lint", "--strict", CHART, "--values", values)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_api_server_accepts_every_object(render, kubectl: Kubectl, values):
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lore-system"}})
    objects = {"apiVersion": "v1", "kind": "List", "items": render("--values", values)}

    said = kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename=-", stdin=json.dumps(objects)
    )

    assert "relevancedeployments.lore-platform.io" in said


def test_the_operators_pod_is_admitted_under_the_restricted_profile(render, kubectl: Kubectl):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "restricted", "labels": labels}})
    (deployment,) = of_kind(render(), "Deployment")
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator", "namespace": "restricted"}}
    spec = {name: value for name, value in template["spec"].items() if name != "serviceAccountName"}

    said = kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps({**pod, "spec": spec}))

    assert "created" in said
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("images.server.digest=latest", "/images/server/digest"),
        ("images.pullPolicy=Sometimes", "/images/pullPolicy"),
        ("operator.workers=0", "/operator/workers"),
        ("operator.logLevel=LOUD", "/operator/logLevel"),
        ("operator.replicas=2", "replicas"),
        ("namespaces={Not_A_Namespace}", "/namespaces/0"),
        ("crds.instal=true", "instal"),
    ],
)
def test_a_wrong_value_is_refused_and_its_key_named(helm, option, key):
    done = helm("template", "lore", CHART, "--set", option)

    assert done.returncode != 0
    assert key in done.stderr


def test_the_operator_may_not_touch_secrets(render):
    rules = [rule for kind in ("ClusterRole", "Role") for role in of_kind(render(), kind) for rule in role["rules"]]

    assert rules
    assert not [rule for rule in rules if {"secrets", "*"} & {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}]


def test_listed_namespaces_need_no_right_over_the_cluster(render):
    manifests = render("--set", "namespaces={shop-a,shop-b}", "--set", "rbac.aggregate=false")

    assert not of_kind(manifests, "ClusterRole")
    assert not of_kind(manifests, "ClusterRoleBinding")
    assert [role["metadata"]["namespace"] for role in of_kind(manifests, "Role")] == ["shop-a", "shop-b"]
    assert environment(manifests)["LORE_NAMESPACES"] == "shop-a,shop-b"


def test_without_a_list_the_operator_serves_all_namespaces(render):
    manifests = render()

    assert environment(manifests)["LORE_NAMESPACES"] == ""
    assert {binding["metadata"]["name"] for binding in of_kind(manifests, "ClusterRoleBinding")} == {"lore-operator"}


def test_the_chart_carries_the_definitions_of_the_tree(render):
    installed = {crd["metadata"]["name"]: crd["spec"] for crd in of_kind(render(), "CustomResourceDefinition")}

    assert installed == {
        crd["metadata"]["name"]: crd["spec"]
        for crd in map(yaml.safe_load, (path.read_text() for path in definitions()))
    }


def test_uninstalling_keeps_the_definitions_unless_told_otherwise(render):
    def policies(*options: str) -> set[str | None]:
        found = of_kind(render(*options), "CustomResourceDefinition")
        return {crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for crd in found}

    assert policies() == {"keep"}
    assert policies("--set", "crds.keep=false") == {None}


def test_definitions_can_be_left_to_someone_else(render):
    assert not of_kind(render("--set", "crds.install=false"), "CustomResourceDefinition")


def test_a_digest_wins_over_a_tag(render):
    manifests = render("--set", f"images.server.tag=v1,images.server.digest={DIGEST}")

    assert environment(manifests)["LORE_SERVER_IMAGE"] == f"lore-server@{DIGEST}"


def test_pull_secrets_and_proxy_reach_the_operator_and_its_children(render):
    manifests = render("--set", "imagePullSecrets={team}", "--set", "operator.proxy.HTTPS_PROXY=http://proxy:3128")

    (deployment,) = of_kind(manifests, "Deployment")
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "team"}]
    assert environment(manifests)["LORE_IMAGE_PULL_SECRETS"] == "team"
    assert environment(manifests)["HTTPS_PROXY"] == "http://proxy:3128"


def test_two_operators_never_run_at_once(render):
    (deployment,) = of_kind(render(), "Deployment")

    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_a_pod_monitor_is_refused_where_the_cluster_has_no_such_kind(helm):
    done = helm("template", "lore", CHART, "--set", "metrics.podMonitor=true")

    assert done.returncode != 0
    assert "metrics.podMonitor" in done.stderr


def test_generated_files_of_the_chart_are_up_to_date():
    root = CHART.parents[1]
    done = subprocess.run(
        [root / ".venv/bin/python", "-m", "hack.generate", "--check"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
