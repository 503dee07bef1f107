"""Small models that were taught a handful of pairs, as a stage before would publish them."""

from typing import Any, Final

from lore_core.artifacts import ArtifactRef
from lore_core.benchmark.rulebook import rulebook
from lore_core.jobs import RuleMode
from lore_core.prompts import PromptLayout, RuleSource

from .site import WORLD, Site, write_base

PAIRS: Final = list(WORLD.pairs("train", "general"))


def tuned(site: Site, layout: PromptLayout, dropout: float = 0.0) -> ArtifactRef:
    """A small model that was taught these very pairs, as a stage before would publish it."""
    from lore_core.jobs.config import Layout, Optimizer, SftStage
    from lore_core.training.export import publish_model, write_model
    from lore_core.training.sft import SftModel, sft_kit

    name = f"tuned-{layout.lower()}-{dropout}"
    base, folder = site.root / f"{name}-base", site.root / f"{name}-source"
    base.mkdir()
    folder.mkdir()
    encoder = write_base(base, dropout)
    spec = SftStage(layout=Layout(layout.value), optimizer=Optimizer(max_steps=100, batch_size=16))
    stage = SftModel(sft_kit(spec, encoder, PAIRS), base, PAIRS, RuleSource(RuleMode.RETRIEVED, rulebook()), spec)
    _fit(stage, spec)
    write_model(stage.model, stage.model.state_dict(), stage.kit, base, folder)
    return publish_model(folder, ArtifactRef(uri=(site.root / name).as_uri()), stage.kit, {}, {})


class Plain:
    """The model alone, in place of DeepSpeed's engine around it."""

    device = "cpu"

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, **inputs: Any) -> Any:
        return self.module(**inputs)


def _fit(stage: Any, spec: Any) -> None:
    import torch

    adam = torch.optim.AdamW(stage.model.parameters(), lr=3e-3, betas=(0.9, 0.98), fused=True)
    for step in range(spec.optimizer.max_steps):
        adam.zero_grad()
        stage.loss(Plain(stage.model), stage.order.batch(step)).backward()
        torch.nn.utils.clip_grad_norm_(stage.model.parameters(), 1.0)
        adam.step()
