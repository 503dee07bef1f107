"""Linear layers as 8-bit integers, in the layout that compressed-tensors calls `int-quantized` and vLLM loads by itself.

A weight is one signed byte with a float32 scale for its output channel; the server rounds a layer's inputs to 8 bits too, with
a scale and a zero point a token (W8A8). Without a zero point vLLM takes another kernel on processors with AMX, which ends the
server where it computes in float32. Rounding is to the nearest, without calibration data. Embeddings, norms and the output
layer stay as they are.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lore_core.jobs.errors import JobError

CONFIG_NAME: Final = "config.json"
INDEX_NAME: Final = "model.safetensors.index.json"
QUANTIZATION: Final = "quantization_config"
"""Key of a model's config.json."""
SCHEME: Final = "W8A8Int8"
_KEPT: Final = ("embed_tokens.weight", "lm_head.weight")
_MOST: Final = 127
_CONFIG: Final[dict[str, Any]] = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False},
            "input_activations": {
                "num_bits": 8,
                "type": "int",
                "symmetric": False,
                "strategy": "token",
                "dynamic": True,
            },
        }
    },
    "ignore": ["lm_head"],
}


@dataclass(slots=True)
class Rounded:
    """What became of a model's weights: layers, bytes before and after, and squared sums of numbers and of rounding."""

    layers: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    power: float = 0.0
    error: float = 0.0

    @property
    def relative_error(self) -> float:
        """Rounding against the rounded weights, both as Frobenius norms."""
        return float((self.error / self.power) ** 0.5) if self.power else 0.0


def quantize(weight: Any) -> tuple[Any, Any]:
    """An out×in matrix as int8 and its scales, out×1 in float32: a channel's largest magnitude becomes ±127."""
    import torch

    scale = weight.float().abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / _MOST
    return (weight.float() / scale).round().clamp(-_MOST, _MOST).to(torch.int8), scale


def write_quantized(source: Path, folder: Path) -> Rounded:
    """Weights, index and config of a folder in transformers' layout, one file at a time.

    Raises JobError where the model is quantised already, has no safetensors, or has layers that this cannot tell apart.
    """
    config = json.loads((source / CONFIG_NAME).read_text(encoding="utf-8"))
    if QUANTIZATION in config:
        raise _refused("is quantised already; quantise the model that it was made of")
    files = sorted(source.glob("*.safetensors"))
    if not files:
        raise _refused("has no safetensors file; publish it by a training stage, or save it again as safetensors")
    done, places = Rounded(), dict[str, str]()
    for path in files:
        tensors = _rounded_file(path, folder / path.name, done)
        places |= dict.fromkeys(tensors, path.name)
    if (source / INDEX_NAME).is_file():
        index = {"metadata": {"total_size": done.bytes_after}, "weight_map": dict(sorted(places.items()))}
        (folder / INDEX_NAME).write_text(json.dumps(index, indent=1), encoding="utf-8")
    (folder / CONFIG_NAME).write_text(json.dumps({**config, QUANTIZATION: _CONFIG}, indent=1), encoding="utf-8")
    return done


def _rounded_file(source: Path, target: Path, done: Rounded) -> list[str]:
    """One file of weights; returns the names that it holds now."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    with safe_open(str(source), framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118  (a reader, not a dict)
            tensors |= _rounded(name, weights.get_tensor(name), done)
    done.bytes_after += sum(value.nbytes for value in tensors.values())
    save_file(tensors, str(target), metadata={"format": "pt"})
    return list(tensors)


def _rounded(name: str, weight: Any, done: Rounded) -> dict[str, Any]:
    done.bytes_before += weight.nbytes
    if weight.ndim < 2 or name.endswith(_KEPT):
        return {name: weight}
    if weight.ndim > 2 or not name.endswith("_proj.weight"):
        raise _refused(
            f"has the layer {name}, and only models whose blocks are plain projections can be quantised here"
        )
    whole, scale = quantize(weight)
    exact = weight.double()
    done.layers += 1
    done.power += float(exact.square().sum())
    done.error += float((whole.double() * scale.double() - exact).square().sum())
    return {name: whole, f"{name}_scale": scale}


def _refused(why: str) -> JobError:
    return JobError("BadBaseModel", f"baseModel: {why}", field="baseModel")
