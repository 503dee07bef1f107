"""One builder of engine flags: evaluation, head build and predictor score alike."""

import json
import subprocess
import sys

import pytest

from lore_core.jobs import ServingProfile
from lore_core.prompts import PromptLayout
from lore_core.scoring.engine import engine_args, engine_environment

PROFILE = ServingProfile(image="server@sha256:" + "0" * 64)


def value(args: list[str], flag: str) -> str:
    return args[args.index(flag) + 1]


def test_every_field_of_the_profile_that_can_change_a_score_reaches_the_engine() -> None:
    profile = PROFILE.model_copy(
        update={"dtype": "bfloat16", "quantization": "fp8", "kv_cache_dtype": "fp8_e5m2", "max_model_len": 512}
    )
    args = engine_args(profile, PromptLayout.THINK_FIRST)
    found = [value(args, f"--{name}") for name in ("dtype", "quantization", "kv-cache-dtype", "max-model-len")]
    assert found == ["bfloat16", "fp8", "fp8_e5m2", "512"]


def test_an_unquantised_profile_names_no_quantisation() -> None:
    assert "--quantization" not in engine_args(PROFILE, PromptLayout.LABEL_FIRST)


@pytest.mark.parametrize("layout", list(PromptLayout))
def test_a_model_folders_own_sampling_defaults_never_apply(layout: PromptLayout) -> None:
    assert value(engine_args(PROFILE, layout), "--generation-config") == "vllm"


def test_a_classifier_is_served_by_its_class_head() -> None:
    args = engine_args(PROFILE, PromptLayout.CLASSIFIER)
    assert (value(args, "--runner"), value(args, "--convert")) == ("pooling", "classify")


def test_a_two_tower_is_served_by_its_mean_vectors_whatever_its_folder_says() -> None:
    args = engine_args(PROFILE, PromptLayout.TWO_TOWER)
    assert (value(args, "--runner"), value(args, "--convert")) == ("pooling", "embed")
    assert json.loads(value(args, "--pooler-config")) == {"seq_pooling_type": "MEAN", "use_activation": False}


def test_a_server_without_gpu_runs_eagerly_and_differs_in_nothing_else() -> None:
    gpu, cpu = (engine_args(PROFILE, PromptLayout.THINK_FIRST, cpu=cpu) for cpu in (False, True))
    assert cpu == [*gpu, "--enforce-eager"]
    assert set(engine_environment(cpu=True)) - set(engine_environment()) == {
        "VLLM_CPU_KVCACHE_SPACE",
        "TORCH_COMPILE_DISABLE",
        "VLLM_CPU_OMP_THREADS_BIND",
        "VLLM_ENABLE_V1_MULTIPROCESSING",
    }


def test_servers_of_one_node_are_not_bound_to_the_same_cores() -> None:
    assert engine_environment(cpu=True)["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_the_builder_needs_no_weights_library_no_numpy_and_no_client() -> None:
    code = "import sys, lore_core.scoring.engine; print('\\n'.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "vllm", "numpy", "httpx"} & set(found.stdout.split())
