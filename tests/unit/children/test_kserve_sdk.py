"""Every KServe object that the operator builds is one that KServe's own SDK can hold, with no field left over.

The SDK's models are generated from KServe's types. The operator itself does not import them.
"""

import importlib
import re
from typing import Any

import pytest
from unit.children.golden import DEPLOYMENT, GOLDEN, SETTINGS, D, resource

from lore_operator.api import parse_deployment, parse_model
from lore_operator.children.backend import backend_of
from lore_operator.children.inference_service import inference_service

KSERVE = "serving.kserve.io/"
GPUS = {"limits": {"nvidia.com/gpu": "4", "memory": "96Gi"}}
SOURCES = {
    "claim": {"uri": "pvc://models/lore"},
    "s3": {"uri": "s3://models/lore", "secretRef": {"name": "store"}},
    "gs": {"uri": "gs://models/lore"},
}
TIERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scaled": {"replicas": {"min": 2, "max": 8}},
    "tensor-parallel": {"tensorParallel": 4, "runner": {"resources": GPUS, "sharedMemory": "8Gi"}},
    "runtime": {
        "kserveRuntime": {"name": "kserve-vllmserver", "storageUri": "hf://team/lore:v4", "modelFormat": "vLLM"},
        "replicas": {"min": 2, "max": 8},
        "runner": {"serviceAccountName": "reader", "nodeSelector": {"gpu": "h200"}, "resources": GPUS},
    },
    "overridden": {
        "runner": {
            "nodeSelector": {"gpu": "h200"},
            "serviceAccountName": "reader",
            "imagePullSecrets": [{"name": "registry"}],
            "podTemplate": {
                "metadata": {"labels": {"team": "search"}, "annotations": {"note": "x"}},
                "spec": {
                    "tolerations": [{"key": "gpu", "operator": "Exists"}],
                    "containers": [{"name": "agent", "image": "agent:1"}],
                },
            },
        }
    },
}


def built() -> dict[str, dict[str, Any]]:
    """By a name: those of the reviewed YAML, and a predictor for each setting and each source."""
    found = {f"{name}-{item['kind']}": item for name, make in GOLDEN.items() for item in make() if _of_kserve(item)}
    found |= {name: predictor(SOURCES["s3"], tier) for name, tier in TIERS.items()}
    return found | {name: predictor(source, {}) for name, source in SOURCES.items()}


def _of_kserve(item: dict[str, Any]) -> bool:
    return str(item["apiVersion"]).startswith(KSERVE)


def predictor(source: dict[str, Any], tier: dict[str, Any]) -> dict[str, Any]:
    tiers = [{"stratum": "tail", "predictor": {"modelRef": {"name": "lore"}, **tier}}]
    spec = {**DEPLOYMENT["spec"], "tiers": tiers}
    wanted = parse_deployment({**DEPLOYMENT, "spec": spec}).spec.tiers[0].predictor
    assert wanted is not None
    model = parse_model(resource("RelevanceModel", "lore", {**source, "digest": D, "role": "Generative"}))
    return inference_service(DEPLOYMENT, backend_of(wanted, model, SETTINGS.images.server), wanted, SETTINGS)


BUILT = built()


@pytest.fixture(scope="module")
def models() -> Any:
    """The classes of the SDK, and Kubernetes' own beside them; the SDK warns of its dependencies when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)
        try:
            return importlib.import_module("kserve.models"), importlib.import_module("kubernetes.client")
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError("kserve, of requirements/dev.txt, is not installed: make venv") from missing


def read(kind: str, value: Any, models: Any, path: str) -> Any:
    """A value as the SDK's type of that name; AssertionError where it has no such field, ValueError where it refuses one."""
    if inner := re.fullmatch(r"list\[(.+)\]|dict\(str, (.+)\)", kind):
        if inner[1]:
            return [read(inner[1], one, models, f"{path}[{n}]") for n, one in enumerate(value)]
        return {key: read(inner[2], one, models, f"{path}.{key}") for key, one in value.items()}
    model = next((getattr(module, kind) for module in models if hasattr(module, kind)), None)
    if model is None:
        return value
    names = {wire: name for name, wire in model.attribute_map.items()}
    unknown = set(value) - set(names)
    assert not unknown, f"{path}: {kind} has no {sorted(unknown)}"
    fields = {
        names[wire]: read(model.openapi_types[names[wire]], one, models, f"{path}.{wire}")
        for wire, one in value.items()
    }
    return model(**fields)


def class_name(item: dict[str, Any]) -> str:
    version = item["apiVersion"].removeprefix(KSERVE)
    return f"{version[0].upper()}{version[1:]}{item['kind']}"


def test_both_of_kserves_kinds_are_among_them() -> None:
    assert {item["kind"] for item in BUILT.values()} == {"InferenceService", "InferenceGraph"}


@pytest.mark.parametrize("name", sorted(BUILT))
def test_the_sdk_reads_it_and_writes_it_as_it_was(models: Any, name: str) -> None:
    item = BUILT[name]

    found = read(class_name(item), item, models, item["kind"])

    written = models[1].ApiClient().sanitize_for_serialization(found)
    if model := written["spec"].get("predictor", {}).get("model"):
        assert model.pop("name") == ""  # the SDK writes one, KServe's webhook refuses any other
    assert written == item


def test_a_field_that_kserve_does_not_have_is_noticed(models: Any) -> None:
    item = predictor(SOURCES["s3"], {})
    item["spec"]["predictor"]["replicas"] = 2

    with pytest.raises(AssertionError, match="V1beta1PredictorSpec has no \\['replicas'\\]"):
        read(class_name(item), item, models, item["kind"])


def test_replicas_between_two_numbers_are_the_horizontal_autoscalers() -> None:
    scaled = BUILT["scaled"]

    assert scaled["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "hpa"
    assert {"minReplicas": 2, "maxReplicas": 8}.items() <= scaled["spec"]["predictor"].items()


def test_gpus_of_a_replica_reach_the_container_and_the_engine() -> None:
    container = BUILT["tensor-parallel"]["spec"]["predictor"]["containers"][0]

    assert container["resources"]["limits"]["nvidia.com/gpu"] == "4"
    at = container["args"].index("--tensor-parallel-size")
    assert container["args"][at + 1] == "4"


def test_a_runtime_of_kserves_gets_the_engines_arguments_and_no_container_of_ours() -> None:
    plain, found = BUILT["plain"]["spec"]["predictor"], BUILT["runtime"]["spec"]["predictor"]
    name = BUILT["runtime"]["metadata"]["name"]

    assert not {"containers", "initContainers", "volumes", "securityContext"} & found.keys()
    assert "name" not in found["model"]  # KServe's webhook refuses one
    assert found["model"]["runtime"] == "kserve-vllmserver"
    assert found["model"]["storageUri"] == "hf://team/lore:v4"
    assert found["model"]["args"][:2] == ["--served-model-name", name]
    assert set(found["model"]["args"]) - {"--served-model-name", name} <= set(plain["containers"][0]["args"])
    assert found["model"]["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert D not in str(found)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_source_is_fetched_and_verified_by_the_init_container_alone(name: str) -> None:
    spec = BUILT[name]["spec"]["predictor"]
    (fetch,), (server,) = spec["initContainers"], spec["containers"]

    assert fetch["command"][:4] == ["lore", "fetch", "--uri", SOURCES[name]["uri"]]
    assert fetch["command"][fetch["command"].index("--digest") + 1] == D
    assert "storageUri" not in str(BUILT[name])
    sources = {mount["mountPath"] for mount in fetch["volumeMounts"]} - {"/tmp", "/mnt/models"}
    assert not sources & {mount["mountPath"] for mount in server["volumeMounts"]}
