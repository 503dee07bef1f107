import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart.schemas import write
from cluster.fixtures import definitions

from hack.cluster import tools
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
def test_the_api_server_accepts_every_object(render, monitored, kubectl: Kubectl, values):
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lore-system"}})
    objects = {"apiVersion": "v1", "kind": "List", "items": render("--values", values)}

    said = kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename=-", stdin=json.dumps(objects)
    )

    assert said.count("serverside-applied") == len(objects["items"])


@pytest.fixture(scope="session")
def schemas(monitored, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(json.loads(kubectl("get", "--raw", "/openapi/v2")), tmp_path_factory.mktemp("schemas"))


def conforms(schemas: str, manifests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump_all(manifests)
    command = [tools.require("kubeconform"), "-strict", "-summary", "-schema-location", schemas, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_no_object_has_a_field_that_its_kind_does_not_know(render, schemas, values):
    done = conforms(schemas, render("--values", values))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Errors: 0, Skipped: 0" in done.stdout


def test_a_misspelt_field_would_be_found(render, schemas):
    (deployment,) = of_kind(render(), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"

    assert "imagePulPolicy" in conforms(schemas, [deployment]).stdout


EVERYTHING = "--set=console.enabled=true,verdicts.enabled=true,verdicts.tlsSecret=verdicts-tls,imagePullSecrets={team}"


def pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The spec of every pod that the chart runs, by the name of what runs it; `helm test`'s among them."""
    templates = {item["metadata"]["name"]: item["spec"]["template"] for item in of_kind(manifests, "Deployment")}
    alone = {item["metadata"]["name"]: item for item in of_kind(manifests, "Pod")}
    return {name: item["spec"] for name, item in (templates | alone).items()}


def test_every_pod_is_admitted_under_the_restricted_profile(render, kubectl: Kubectl):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "restricted", "labels": labels}})
    found = pods(render(EVERYTHING))
    assert {*found} == {"lore-operator", "lore-console", "lore-verdicts", "lore-operator-ready"}

    for name, spec in found.items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "restricted"}}
        rest = {field: value for field, value in spec.items() if field != "serviceAccountName"}
        said = kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps({**pod, "spec": rest}))
        assert f"pod/{name} created" in said
        assert [one["securityContext"]["readOnlyRootFilesystem"] for one in spec["containers"]] == [True]


def test_every_pod_pulls_with_the_named_secrets(render):
    assert [spec["imagePullSecrets"] for spec in pods(render(EVERYTHING)).values()] == [[{"name": "team"}]] * 4


def test_a_cluster_too_old_is_refused_and_told_what_is_needed(helm):
    done = helm("template", "lore", CHART, "--kube-version=1.29.9")

    assert done.returncode != 0
    assert "requires kubeVersion: >=1.30.0-0" in done.stderr
    assert "v1.29.9" in done.stderr


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("images.server.digest=latest", "/images/server/digest"),
        ("images.pullPolicy=Sometimes", "/images/pullPolicy"),
        ("operator.workers=0", "/operator/workers"),
        ("operator.logLevel=LOUD", "/operator/logLevel"),
        ("operator.replicas=3", "/operator/replicas"),
        ("operator.leaseSeconds=1", "/operator/leaseSeconds"),
        ("namespaces={Not_A_Namespace}", "/namespaces/0"),
        ("crds.instal=true", "instal"),
        ("consol.enabled=true", "consol"),
        ("metrics.serviceMonitor=true", "/metrics/serviceMonitor"),
        ("metrics.interval=often", "/metrics/interval"),
        ("metrics.labels.team=a b", "/metrics/labels/team"),
        ("networkPolicy.apiServerPorts={0}", "/networkPolicy/apiServerPorts/0"),
        ("networkPolicy.from[0].pods=x", "/networkPolicy/from/0"),
        ("operator.resources.limits.memory=lots", "/operator/resources/limits/memory"),
        ("operator.tolerations[0].efect=x", "/operator/tolerations/0"),
        ("operator.affinity.node=x", "/operator/affinity"),
        ("dashboards.enable=true", "/dashboards"),
        ("console.replicas=0", "/console/replicas"),
        ("console.image=x", "/console"),
        ("verdicts.replicas=0", "/verdicts/replicas"),
        ("verdicts.audiences={a b}", "/verdicts/audiences/0"),
        ("verdicts.from[0].pods=x", "/verdicts/from/0"),
        ("prometheus.url=prometheus", "/prometheus/url"),
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

    assert installed == {crd["metadata"]["name"]: crd["spec"] for crd in map(read, definitions())}


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


def test_two_replicas_share_a_lease_that_only_they_may_write(render):
    manifests = render("--set", "operator.replicas=2")

    (deployment,) = of_kind(manifests, "Deployment")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (2, "RollingUpdate")
    assert environment(manifests)["LORE_LEASE"] == "lore-system/lore-operator"
    (role,) = of_kind(manifests, "Role")
    assert role["metadata"]["namespace"] == "lore-system"
    assert {verb for rule in role["rules"] for verb in rule["verbs"] if "resourceNames" not in rule} == {"create"}
    assert "LORE_LEASE" not in environment(render())


def test_a_drain_takes_one_of_two_operators_and_is_never_held_by_a_single_one(render):
    manifests = render("--set", "operator.replicas=2")

    (budget,), (deployment,) = of_kind(manifests, "PodDisruptionBudget"), of_kind(manifests, "Deployment")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    assert not of_kind(render(), "PodDisruptionBudget")


MONITORING = ("ServiceMonitor", "PodMonitor", "PodMonitor", "PrometheusRule")


def monitoring(manifests: list[dict[str, Any]]) -> list[str]:
    return [item["kind"] for kind in dict.fromkeys(MONITORING) for item in of_kind(manifests, kind)]


def test_monitors_and_alerts_come_where_the_cluster_serves_their_kinds(render):
    served = [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in dict.fromkeys(MONITORING)]
    never = [f"--set=metrics.{key}=Never" for key in ("serviceMonitor", "podMonitors", "prometheusRule")]

    assert monitoring(render()) == []
    assert monitoring(render(*served)) == [*MONITORING]
    assert monitoring(render(*served, *never)) == []


def test_the_notes_name_what_was_left_out_for_want_of_the_prometheus_operator(helm):
    def notes(*options: str) -> str:
        done = helm("install", "lore", CHART, "--dry-run=client", "--namespace=lore-system", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:")[2]

    assert "PodMonitor, PrometheusRule, ServiceMonitor of monitoring.coreos.com/v1" in notes()
    assert "monitoring.coreos.com" not in notes(
        "--set=metrics.serviceMonitor=Never,metrics.podMonitors=Never,metrics.prometheusRule=Always"
    )


def test_the_operator_is_told_what_was_left_out_and_nothing_where_nothing_was(render):
    served = [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in dict.fromkeys(MONITORING)]

    assert environment(render())["LORE_MONITORS_LEFT_OUT"] == "PodMonitor,PrometheusRule,ServiceMonitor"
    assert "LORE_MONITORS_LEFT_OUT" not in environment(render(*served))


def test_what_is_measured_of_an_evaluation_keeps_the_evaluations_namespace(render):
    (monitor,) = of_kind(render("--set", "metrics.serviceMonitor=Always"), "ServiceMonitor")

    assert [endpoint["honorLabels"] for endpoint in monitor["spec"]["endpoints"]] == [True]


def test_routers_and_predictors_are_scraped_where_the_operator_serves_only(render):
    options = ["--set", "metrics.podMonitors=Always"]
    everywhere = of_kind(render(*options), "PodMonitor")
    listed = of_kind(render(*options, "--set", "namespaces={shop-a}"), "PodMonitor")

    assert [item["spec"]["namespaceSelector"] for item in everywhere] == [{"any": True}] * 2
    assert [item["spec"]["namespaceSelector"] for item in listed] == [{"matchNames": ["shop-a"]}] * 2


def test_alerts_name_the_runbook_where_runbooks_are_published(render):
    options = ["--set", "metrics.prometheusRule=Always", "--set", "metrics.runbooks=https://docs.example.com/rb/"]
    (rule,) = of_kind(render(*options), "PrometheusRule")

    for alert in (alert for group in rule["spec"]["groups"] for alert in group["rules"]):
        assert alert["annotations"]["runbook_url"] == f"https://docs.example.com/rb/{alert['alert']}.md"


def test_a_network_policy_lets_the_scraper_the_test_and_nobody_else_in(render):
    (policy,) = of_kind(render("--values", CHART / "ci/locked-down-values.yaml"), "NetworkPolicy")
    (rule,) = policy["spec"]["ingress"]

    assert [*rule["from"][0]["podSelector"]["matchLabels"].values()] == ["lore-operator-test", "lore"]
    assert rule["from"][1] == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} == {53, 6443, 8080, 9090}


def console(manifests: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The console's objects, by kind and namespace."""
    found = [m for m in manifests if m["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "lore-console"]
    return {
        (item["kind"], f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"): item for item in found
    }


def test_the_console_comes_when_asked_for_only(render):
    assert console(render()) == {}


def test_the_console_may_ask_who_somebody_is_and_list_our_kinds_where_the_release_serves(render):
    found = console(render("--values", CHART / "ci/console-values.yaml"))
    rights = {name: role["rules"] for (kind, name), role in found.items() if kind in ("Role", "ClusterRole")}

    reviews = {resource for rule in rights.pop("/lore-console-reviews") for resource in rule["resources"]}
    assert reviews == {"tokenreviews", "subjectaccessreviews"}
    assert {*rights} == {"default/lore-console", "kube-public/lore-console"}
    assert {(rule["apiGroups"][0], *rule["verbs"]) for rules in rights.values() for rule in rules} == {
        ("lore-platform.io", "list")
    }
    everywhere = console(render("--set=console.enabled=true"))
    assert ("ClusterRoleBinding", "/lore-console") in everywhere
    for item in everywhere.values():
        for subject in item.get("subjects", ()):
            assert subject["name"] == "lore-console", "nothing of the operator's is its own"


def test_the_consoles_network_policy_lets_in_who_is_named(render):
    policy = console(render("--values", CHART / "ci/console-values.yaml"))["NetworkPolicy", "lore-system/lore-console"]

    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]


def test_dashboards_are_config_maps_that_a_sidecar_finds(render):
    found = of_kind(render("--set", "dashboards.enabled=true"), "ConfigMap")

    assert {item["metadata"]["labels"]["grafana_dashboard"] for item in found} == {"1"}
    assert len(found) == len(list((CHART / "files/dashboards").glob("*.json")))
    for text in (text for item in found for text in item["data"].values()):
        assert json.loads(text)["panels"]


def test_view_edit_and_admin_cover_the_kinds(render):
    roles = {role["metadata"]["name"]: role for role in of_kind(render(), "ClusterRole")}
    aggregated = {
        name: {label.rpartition("-")[2] for label in role["metadata"]["labels"] if "/aggregate-to-" in label}
        for name, role in roles.items()
    }

    assert aggregated["lore-operator-view"] == {"view", "edit", "admin"}
    assert aggregated["lore-operator-edit"] == {"edit", "admin"}
    assert "create" not in roles["lore-operator-view"]["rules"][0]["verbs"]


def test_what_is_said_of_the_chart_is_true():
    notes = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    said = {name.removeprefix("artifacthub.io/"): yaml.safe_load(text) for name, text in notes.items()}
    kinds = {crd["metadata"]["name"]: crd["spec"]["names"]["kind"] for crd in map(read, definitions())}

    assert {item["name"]: item["kind"] for item in said["crds"]} == kinds
    assert {item["name"] for item in said["images"]} == {
        f"lore-{image}" for image in ("operator", "trainer", "server", "router")
    }


def test_the_examples_of_the_chart_are_accepted(kubectl: Kubectl):
    notes = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    examples = yaml.safe_load(notes["artifacthub.io/crdsExamples"])
    document = {"apiVersion": "v1", "kind": "List", "items": examples}

    said = kubectl("create", "--dry-run=server", "--filename=-", "--namespace=default", stdin=json.dumps(document))

    assert said.count("created") == len(examples)
    assert {item["kind"] for item in examples} == {
        item["kind"] for item in yaml.safe_load(notes["artifacthub.io/crds"])
    }


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("module", ["hack.generate", "hack.manifests"])
def test_generated_files_of_the_chart_are_up_to_date(module):
    root = CHART.parents[1]
    done = subprocess.run(
        [root / ".venv/bin/python", "-m", module, "--check"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def verdicts(render: Any, *options: str) -> list[dict[str, Any]]:
    manifests = render("--set", "verdicts.enabled=true", *options)
    return [manifest for manifest in manifests if manifest["metadata"]["name"].startswith("lore-verdicts")]


def test_verdicts_are_served_only_where_that_is_asked_for(render):
    assert not [manifest for manifest in render() if "verdicts" in manifest["metadata"]["name"]]


def test_what_serves_verdicts_may_review_tokens_and_read_evaluations_and_no_more(render):
    manifests = verdicts(render)
    bindings = {
        (item["roleRef"]["name"], item["subjects"][0]["name"]) for item in of_kind(manifests, "ClusterRoleBinding")
    }
    (role,) = of_kind(manifests, "ClusterRole")

    assert bindings == {("system:auth-delegator", "lore-verdicts"), ("lore-verdicts", "lore-verdicts")}
    assert role["rules"] == [{"apiGroups": ["lore-platform.io"], "resources": ["relevanceevals"], "verbs": ["get"]}]


def test_verdicts_of_listed_namespaces_are_read_by_a_role_in_each(render):
    manifests = verdicts(render, "--set", "namespaces={shop-a,shop-b}")

    assert not of_kind(manifests, "ClusterRole")
    assert [role["metadata"]["namespace"] for role in of_kind(manifests, "Role")] == ["shop-a", "shop-b"]


def test_the_operators_service_does_not_reach_what_serves_verdicts(render):
    (deployment,) = of_kind(verdicts(render), "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        service["spec"]["selector"] for service in of_kind(render("--set", "verdicts.enabled=true"), "Service")
    ]

    assert [selector.items() <= labels.items() for selector in selectors].count(True) == 1
