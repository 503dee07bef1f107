"""What the pods that serve may see and do."""

from typing import Any

import pytest
from unit.children.golden import DEPLOYMENT, GOLDEN, SETTINGS, D, backend, resource, router_objects

from lore_core.router.config import CONFIG_MAP_VARIABLE
from lore_operator.api import parse_deployment, parse_model
from lore_operator.api.v1alpha1.common import ArtifactRef, Resources
from lore_operator.api.v1alpha1.deployment import Router
from lore_operator.api.v1alpha1.tiers import Predictor
from lore_operator.children.backend import backend_of
from lore_operator.children.inference_service import inference_service, resources
from lore_operator.children.overrides import InvalidPodTemplate
from lore_operator.children.router import Needs, inputs_digest

MODEL = parse_model(resource("RelevanceModel", "lore", {"uri": "pvc://lore/m", "digest": D, "role": "Generative"}))


def predictor_pod() -> dict[str, Any]:
    return dict(backend()[0]["spec"]["predictor"])


def router_pod() -> dict[str, Any]:
    (found,) = (item for item in router_objects() if item["kind"] == "Deployment")
    return dict(found["spec"]["template"]["spec"])


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    found = [*pod.get("initContainers", []), *pod["containers"]]
    return next(item for item in found if item["name"] == name)


def paths(item: dict[str, Any]) -> dict[str, bool]:
    """Mount path -> read-only."""
    return {mount["mountPath"]: mount.get("readOnly", False) for mount in item["volumeMounts"]}


@pytest.mark.parametrize("pod", [predictor_pod(), router_pod()], ids=["predictor", "router"])
def test_every_container_keeps_to_the_restricted_profile_and_a_read_only_root(pod: dict[str, Any]) -> None:
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert all(item["securityContext"] == security for item in [*pod.get("initContainers", []), *pod["containers"]])


@pytest.mark.parametrize("pod", [predictor_pod(), router_pod()], ids=["predictor", "router"])
def test_every_container_says_what_it_needs_and_may_use(pod: dict[str, Any]) -> None:
    for item in [*pod.get("initContainers", []), *pod["containers"]]:
        assert {"cpu", "memory"} <= set(item["resources"]["requests"])
        assert {"cpu", "memory"} <= set(item["resources"]["limits"])


def test_the_server_sees_the_verified_model_and_no_credentials() -> None:
    seen = paths(container(predictor_pod(), "kserve-container"))

    assert seen == {"/tmp": False, "/dev/shm": False, "/mnt/models": True}


def test_the_model_is_verified_before_the_server_starts() -> None:
    command = container(predictor_pod(), "lore-fetch")["command"]

    assert command[:2] == ["lore", "fetch"]
    assert command[command.index("--digest") + 1] == D
    assert command[command.index("--credentials") + 1] == "/mnt/lore/secrets/store"


def test_a_predictor_has_no_token_of_the_cluster() -> None:
    assert predictor_pod()["automountServiceAccountToken"] is False


def test_kserve_fetches_nothing_itself() -> None:
    assert "storageUri" not in str(backend())


def test_only_the_loader_holds_credentials_of_stores() -> None:
    pod = router_pod()

    assert "/mnt/lore/secrets/store" in paths(container(pod, "lore-loader"))
    assert "/mnt/lore/secrets/store" not in paths(container(pod, "lore"))


def test_the_router_cannot_change_what_the_loader_verified() -> None:
    assert paths(container(router_pod(), "lore"))["/var/lib/lore/router"] is True


def test_the_volume_of_router_and_loader_has_a_size() -> None:
    (data,) = (item for item in router_pod()["volumes"] if item["name"] == "lore-data")

    assert data["emptyDir"] == {"sizeLimit": "2Gi"}


def test_routers_may_read_their_own_config_map_and_nothing_else() -> None:
    (role,) = (item for item in router_objects() if item["kind"] == "Role")

    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["search-router"],
            "verbs": ["get", "list", "watch"],
        }
    ]


def test_router_and_loader_watch_the_same_config_map() -> None:
    names = {
        variable["value"]
        for item in router_pod()["containers"]
        for variable in item["env"]
        if variable["name"] == CONFIG_MAP_VARIABLE
    }

    assert names == {"team/search-router"}


def test_a_router_never_carries_the_labels_by_which_kserve_deletes() -> None:
    # KServe 0.20 deletes Deployments and Services with these labels whose name it does not expect.
    assert "serving.kserve.io" not in str(router_objects())


def test_another_default_image_does_not_render_routers_again() -> None:
    used = Needs((ArtifactRef(uri="pvc://lore/strata", digest=D),))

    assert inputs_digest(Router(), used) == inputs_digest(Router(), used)
    assert inputs_digest(Router(), used) != inputs_digest(Router(replicas=2), used)


def test_a_new_digest_on_a_claim_that_is_mounted_does_not_restart_routers() -> None:
    first, second = (ArtifactRef(uri="pvc://lore/strata", digest="sha256:" + letter * 64) for letter in "ab")

    assert inputs_digest(Router(), Needs((first,))) == inputs_digest(Router(), Needs((second,)))


def test_a_claim_that_is_new_to_the_routers_is_mounted() -> None:
    first, second = (ArtifactRef(uri=f"pvc://{claim}/strata", digest=D) for claim in ("one", "two"))

    assert inputs_digest(Router(), Needs((first,))) != inputs_digest(Router(), Needs((first, second)))


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        ({}, {"cpu": "500m", "memory": "3Gi"}, {"cpu": "2", "memory": "6Gi"}),
        ({"requests": {"memory": "8Gi"}}, {"cpu": "500m", "memory": "8Gi"}, {"cpu": "2", "memory": "8Gi"}),
        ({"requests": {"cpu": "200m"}}, {"cpu": "200m", "memory": "3Gi"}, {"cpu": "2", "memory": "6Gi"}),
        ({"requests": {"cpu": 12}}, {"cpu": "12", "memory": "3Gi"}, {"cpu": "12", "memory": "6Gi"}),
        ({"limits": {"memory": "2Gi"}}, {"cpu": "500m", "memory": "2Gi"}, {"cpu": "2", "memory": "2Gi"}),
        (
            {"limits": {"nvidia.com/gpu": 1}},
            {"cpu": "500m", "memory": "3Gi"},
            {"nvidia.com/gpu": "1", "cpu": "2", "memory": "6Gi"},
        ),
    ],
    ids=["nothing", "a request", "a small request", "a large request", "a limit", "a GPU"],
)
def test_no_admission_default_is_left_to_kserve(
    given: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    found = resources(Resources.model_validate(given))

    assert found == {"requests": requests, "limits": limits}


def predictor(**spec: Any) -> Predictor:
    return Predictor.model_validate({"modelRef": {"name": "lore"}, **spec})


def service(**spec: Any) -> dict[str, Any]:
    wanted = predictor(**spec)
    return inference_service(DEPLOYMENT, backend_of(wanted, MODEL, "server:1"), wanted, SETTINGS)


def test_a_gpu_is_used_where_one_is_asked_for() -> None:
    gpu = service(runner={"resources": {"limits": {"nvidia.com/gpu": 1}}})["spec"]["predictor"]["containers"][0]

    assert "--enforce-eager" not in gpu["args"]
    assert "--enforce-eager" in service()["spec"]["predictor"]["containers"][0]["args"]


def test_a_fixed_number_of_replicas_has_no_autoscaler() -> None:
    fixed, moving = service(replicas={"min": 2}), service(replicas={"min": 2, "max": 4})
    annotation = "serving.kserve.io/autoscalerClass"

    assert (fixed["metadata"]["annotations"][annotation], fixed["spec"]["predictor"]["maxReplicas"]) == ("none", 2)
    assert (moving["metadata"]["annotations"][annotation], moving["spec"]["predictor"]["maxReplicas"]) == ("hpa", 4)


def test_overrides_reach_the_servers_container() -> None:
    template = {"spec": {"containers": [{"name": "lore", "env": [{"name": "OMP_NUM_THREADS", "value": "2"}]}]}}
    found = service(runner={"podTemplate": template})["spec"]["predictor"]["containers"]

    assert [item["name"] for item in found] == ["kserve-container"]
    assert {"name": "OMP_NUM_THREADS", "value": "2"} in found[0]["env"]


def test_a_predictor_traces_where_its_environment_names_a_receiver() -> None:
    endpoint = {"name": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "value": "http://collector:4317"}
    [traced] = service(runner={"env": [endpoint]})["spec"]["predictor"]["containers"]
    [plain] = service()["spec"]["predictor"]["containers"]

    assert traced["args"] == [*plain["args"], "--otlp-traces-endpoint", "http://collector:4317"]
    assert endpoint in traced["env"]


def test_an_override_of_the_engines_arguments_is_refused() -> None:
    template = {"spec": {"containers": [{"name": "lore", "args": ["--dtype", "float16"]}]}}

    with pytest.raises(InvalidPodTemplate, match="args"):
        service(runner={"podTemplate": template})


def test_the_default_image_is_resolved_when_a_backend_is_recorded() -> None:
    deployment = parse_deployment(DEPLOYMENT)
    tier = deployment.spec.tier("tail")
    assert tier is not None
    assert tier.predictor is not None

    assert backend_of(tier.predictor, MODEL, "server:1").profile.image == "server:1"


def test_budgets_are_for_what_answers_callers_and_for_nothing_else() -> None:
    found = {name: [kind for kind in kinds if kind == "PodDisruptionBudget"] for name, kinds in kinds_by_file().items()}

    assert {name for name, kinds in found.items() if kinds} == {
        "router.yaml",
        "backend.yaml",
        "backend-two-tower.yaml",
        "backend-unverified.yaml",
    }


def kinds_by_file() -> dict[str, list[str]]:
    return {name: [item["kind"] for item in build()] for name, build in GOLDEN.items()}


@pytest.mark.parametrize("objects", [router_objects(), backend()], ids=["router", "predictor"])
def test_a_drain_takes_one_pod_and_is_never_held_by_a_broken_one(objects: list[dict[str, Any]]) -> None:
    (budget,) = (item["spec"] for item in objects if item["kind"] == "PodDisruptionBudget")

    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_the_routers_budget_selects_the_routers_pods() -> None:
    (budget,) = (item for item in router_objects() if item["kind"] == "PodDisruptionBudget")
    (workload,) = (item for item in router_objects() if item["kind"] == "Deployment")

    selected = budget["spec"]["selector"]["matchLabels"].items()
    assert selected <= workload["spec"]["template"]["metadata"]["labels"].items()


def secured() -> tuple[dict[str, Any], dict[str, Any]]:
    """Service and Deployment of a router with a certificate, tokens and a served log."""
    given: dict[str, Any] = {"tls": {"secretRef": {"name": "cert"}}, "tokens": {"secretRef": {"name": "callers"}}}
    given["servedLog"] = {"samplePercent": 5}
    found = {item["kind"]: item for item in router_objects(**given)}
    return found["Service"], found["Deployment"]["spec"]["template"]["spec"]


def test_a_certificate_and_tokens_are_mounted_into_the_router_alone() -> None:
    _, pod = secured()
    secrets = {item["name"]: item["secret"]["secretName"] for item in pod["volumes"] if "secret" in item}
    assert {secrets["lore-tls"], secrets["lore-tokens"]} == {"cert", "callers"}
    router, loader = container(pod, "lore"), container(pod, "lore-loader")
    assert {"/etc/lore/tls": True, "/etc/lore/tokens": True}.items() <= paths(router).items()
    assert not {"/etc/lore/tls", "/etc/lore/tokens"} & set(paths(loader))
    command = " ".join(router["command"])
    assert "--tls-folder /etc/lore/tls --tls-port 8443" in command
    assert "--token-file /etc/lore/tokens/tokens" in command


def test_the_router_alone_logs_the_share_of_what_was_served_that_the_spec_says() -> None:
    _, pod = secured()
    plain = next(item for item in router_objects() if item["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert "--served-log-percent 5" in " ".join(container(pod, "lore")["command"])
    assert "--served-log-percent" not in " ".join(container(pod, "lore-loader")["command"])
    assert "--served-log-percent" not in " ".join(container(plain, "lore")["command"])


def test_beside_tls_the_service_keeps_the_plain_port_for_probes_and_scrapes() -> None:
    service, _ = secured()
    ports = {port["name"]: (port["port"], port["targetPort"]) for port in service["spec"]["ports"]}
    assert ports == {"http": (80, 8080), "https": (443, 8443)}
