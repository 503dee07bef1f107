"""Low-rank adapters (LoRA, arXiv 2106.09685) through peft: added to a model in place, and merged into plain weights for export."""

from typing import Any, Final

from lore_core.jobs.errors import JobError
from lore_core.jobs.lora import Lora

_ADAPTER: Final = "default"
_BASE: Final = "base_layer."


def add_adapters(model: Any, lora: Lora, seed: int) -> None:
    """Freeze the model and train adapters of its linear layers by these names. Raises JobError naming one that it lacks.

    The up-projections start at zero, so the model answers as before until the first step.
    """
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    tied = model.get_input_embeddings().weight  # an output layer that shares it cannot change alone
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module.weight is not tied
    }
    if missing := sorted(set(lora.targets) - linear):
        raise JobError(
            "BadConfig",
            f"spec.lora.targets: the base model has no linear layer {missing[0]!r} to adapt; it has {', '.join(sorted(linear))}",
            field="spec.lora.targets",
        )
    torch.manual_seed(seed)  # every rank draws the same adapters
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, bias="none", target_modules=list(lora.targets)
    )
    inject_adapter_in_model(config, model, _ADAPTER)


def merged_weights(model: Any, weights: dict[str, Any]) -> dict[str, Any]:
    """A state dict under the names of the original model: W + α/r·B·A. One without adapters, or an empty one, stays so.

    `weights` is the model's own state dict, gathered; the sums are made in float32.
    """
    from peft.tuners.lora import LoraLayer

    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and weights:
            down, up = (weights.pop(f"{name}.lora_{side}.{_ADAPTER}.weight").float() for side in "AB")
            whole = weights.pop(f"{name}.{_BASE}weight")
            weights[f"{name}.weight"] = (whole.float() + module.scaling[_ADAPTER] * (up @ down)).to(whole.dtype)
    return {name.replace(f".{_BASE}", "."): value for name, value in weights.items()}
