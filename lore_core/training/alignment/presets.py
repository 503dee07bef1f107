"""Every knob of GRPO, set explicitly: TRL's defaults are nobody's recipe.

`DyKnow` and `TaoSR1` are what those papers publish (arXiv 2510.11122, 2508.12365); where a paper is silent the value is ours
and stands under `ours`. `Tiny` is for small models on a CPU. Names are those of TRL 1.16's GRPOConfig. Learning rate, steps and
batch are the stage's own; its default rate, 1e-6, is DyKnow's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from lore_core.jobs.config import AlignPreset
from lore_core.training.alignment.selection import Window

# Set in every preset, so that a new default of TRL changes nothing unnoticed.
_COMMON: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "num_iterations": 1,
        "top_p": 1.0,
        "epsilon": 0.2,
        "loss_type": "grpo",
        "scale_rewards": "group",
        "importance_sampling_level": "token",
        "mask_truncated_completions": True,
        "disable_dropout": True,
        "sync_ref_model": False,
        "shuffle_dataset": False,
    }
)


@dataclass(frozen=True, slots=True)
class Preset:
    """Knobs for TRL, the difficulty window, and which of the knobs are ours because the paper is silent."""

    name: AlignPreset
    window: Window
    knobs: Mapping[str, Any]
    ours: frozenset[str] = field(default_factory=frozenset)

    def settings(self) -> dict[str, Any]:
        """All knobs by TRL's names."""
        return {**_COMMON, **self.knobs}


PRESETS: Final[Mapping[AlignPreset, Preset]] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                AlignPreset.DYKNOW,
                Window(0.01, 0.9),
                {"num_generations": 16, "temperature": 0.99, "top_k": 100, "beta": 0.02},
            ),
            Preset(
                AlignPreset.TAOSR1,
                Window(0.0, 0.9),
                {"num_generations": 8, "temperature": 1.0, "top_k": 0, "beta": 0.02},
                frozenset({"num_generations", "temperature", "top_k", "beta", "window.most"}),
            ),
            Preset(
                AlignPreset.TINY,
                Window(0.01, 0.99),
                {"num_generations": 8, "temperature": 1.0, "top_k": 0, "beta": 0.02},
                frozenset({"num_generations", "temperature", "top_k", "beta", "window.least", "window.most"}),
            ),
        )
    }
)
