"""ADR 0001: what makes two tiers share one backend, and what keeps them apart."""

from typing import Any

import pytest

from lore_operator.api import parse_model
from lore_operator.api.v1alpha1.tiers import Predictor
from lore_operator.children.backend import MAX_NAMESPACE, Backend, backend_of

DIGEST, OTHER = "sha256:" + "d" * 64, "sha256:" + "e" * 64


def backend(
    default_image: str = "server:1",
    digest: str = DIGEST,
    uri: str = "pvc://lore/model",
    role: str = "Generative",
    **spec: Any,
) -> Backend:
    model = {"uri": uri, "digest": digest, "role": role}
    found = parse_model({"apiVersion": "v", "kind": "RelevanceModel", "metadata": {"name": "lore"}, "spec": model})
    return backend_of(Predictor.model_validate({"modelRef": {"name": "lore"}, **spec}), found, default_image)


def runtime(**changes: Any) -> dict[str, Any]:
    return {"kserveRuntime": {"name": "kserve-vllmserver", "storageUri": "s3://models/lore", **changes}}


def profile(**fields: Any) -> dict[str, Any]:
    return {"servingProfile": fields}


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (backend(), True),
        (backend(replicas={"min": 3, "max": 9}), True),
        (backend(runner={"resources": {"limits": {"memory": "8Gi"}}}), True),
        (backend(runner={"nodeSelector": {"pool": "a"}}), True),
        (backend(uri="s3://elsewhere/model"), True),
        (backend(**profile(image="server:1")), True),
        (backend(digest=OTHER), False),
        (backend(default_image="server:2"), False),
        (backend(**profile(image="server:2")), False),
        (backend(**profile(dtype="bfloat16")), False),
        (backend(**profile(quantization="fp8")), False),
        (backend(**profile(kvCacheDtype="fp8")), False),
        (backend(**profile(maxModelLen=512)), False),
        (backend(tensorParallel=2), False),
        (backend(**runtime()), False),
    ],
    ids=[
        "equal", "replicas", "memory", "node", "place", "same image said aloud",
        "model", "default image", "image", "dtype", "quantization", "kv cache", "length", "tensor parallel",
        "a runtime of KServe's",
    ],
)  # fmt: skip
def test_what_shares_a_backend(other: Backend, shared: bool) -> None:
    assert (backend().name == other.name) is shared


@pytest.mark.parametrize(
    ("role", "route", "arguments"),
    [
        ("Generative", "Completions", {"--enable-prefix-caching"}),
        ("Classifier", "Classify", {"pooling", "classify"}),
        ("TwoTower", "Embeddings", {"pooling", "embed", "--pooler-config"}),
    ],
)
def test_a_models_role_says_how_it_is_served_and_by_which_route_it_is_asked(
    role: str, route: str, arguments: set[str]
) -> None:
    found = backend(role=role)
    assert found.route == route
    assert arguments <= {*found.arguments}


def test_a_recorded_backend_of_before_there_were_two_towers_keeps_its_record() -> None:
    recorded = backend(role="Classifier").model_dump(mode="json", by_alias=True, exclude_none=True)
    assert "twoTower" not in recorded
    assert Backend.model_validate(recorded).route == "Classify"


@pytest.mark.parametrize(
    "changes",
    [{"name": "other"}, {"storageUri": "s3://models/other"}, {"modelFormat": "huggingface"}],
    ids=["runtime", "place", "format"],
)
def test_what_nobody_verifies_is_shared_only_where_it_is_loaded_from_one_place_in_one_way(
    changes: dict[str, str],
) -> None:
    assert backend(**runtime()).name == backend(**runtime()).name
    assert backend(**runtime()).name != backend(**runtime(**changes)).name


def test_a_predictor_in_the_longest_namespace_has_a_host_name_that_kserve_accepts() -> None:
    assert len(f"{backend().name}-predictor-{'n' * MAX_NAMESPACE}") == 63
