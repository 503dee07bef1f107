"""The vLLM engine's arguments and environment, in one place.

Evaluation, the head job and the served predictor must score with equal flags, or a verdict would not hold for what is served.
Light: the operator imports this module.
"""

from pathlib import Path

from lore_core.jobs.config import ServingProfile
from lore_core.prompts.contract import PromptLayout

_MEAN_POOLED = '{"seq_pooling_type": "MEAN", "use_activation": false}'
"""A tower's vector: the mean over its tokens as it is. A model folder's own choice, or vLLM's for its kind, does not count."""
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def gpu_present() -> bool:
    """Whether this machine shows a GPU device file; asks no library, so nothing heavy is imported."""
    return any(Path(device).exists() for device in _GPU_DEVICES)


def engine_args(profile: ServingProfile, layout: PromptLayout, *, cpu: bool = False) -> list[str]:
    """Arguments of the vLLM server for a profile: without model path, name, host and port, which cannot change a score.

    `cpu` is for servers without a GPU: vLLM's compiled mode gains nothing there and stalls the first requests.
    """
    args = [
        *("--dtype", profile.dtype),
        *("--max-model-len", str(profile.max_model_len)),
        *("--kv-cache-dtype", profile.kv_cache_dtype),
        # Sampling defaults that a model folder may carry must not reach the scores.
        *("--generation-config", "vllm"),
    ]
    if profile.quantization != "none":
        args += ["--quantization", profile.quantization]
    if layout is PromptLayout.CLASSIFIER:
        args += ["--runner", "pooling", "--convert", "classify"]
    elif layout is PromptLayout.TWO_TOWER:
        args += ["--runner", "pooling", "--convert", "embed", "--pooler-config", _MEAN_POOLED]
    else:
        args += ["--enable-prefix-caching"]
    return [*args, "--enforce-eager"] if cpu else args


def engine_environment(*, cpu: bool = False) -> dict[str, str]:
    """Environment of the vLLM server: no usage statistics, no model hub; on CPU a bounded KV space and no compiler.

    On CPU vLLM would bind its threads to cores that it picks from all it sees: every server of a node to the same ones. And
    it would compute in a process of its own beside the engine's, which imports everything once more and waits by spinning.
    """
    environment = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    if cpu:
        environment |= {"VLLM_CPU_KVCACHE_SPACE": "1", "TORCH_COMPILE_DISABLE": "1"}
        environment |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    return environment
