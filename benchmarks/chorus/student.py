"""The torso student on Chorus: the platform's own examples, loss, schedule and scorer, in one process without DeepSpeed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lore_core.artifacts import ArtifactRef
from lore_core.jobs import DistillStage, RuleMode
from lore_core.jobs.config import Optimizer
from lore_core.prompts import RuleSource, TextEncoder
from lore_core.records import Pair
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.distill import StudentModel, distill_kit
from lore_core.training.schedule import batch_indices, learning_rate, step_seed
from lore_core.training.teaching import TaughtBy

_RULES: Final = RuleSource(RuleMode.NONE)
_PROMPT_TOKENS: Final = 32
"""Query and title; attributes where the title leaves room."""
_STEPS: Final = 300
_RATE: Final = "0.0002"


@dataclass(frozen=True)
class Lesson:
    """What a student learns from: judged and silver pairs with the teacher's labels, and its probabilities (n×4, by pair id)."""

    judged: Sequence[Pair]
    silver: Sequence[Pair]
    taught: Mapping[str, Sequence[float]]

    def pairs(self) -> list[Pair]:
        """Judged pairs as often as it takes to make them about a third of what is drawn."""
        copies = max(1, round(len(self.silver) / (2 * len(self.judged))))
        return [*self.judged] * copies + [*self.silver]

    def teacher(self, pairs: Sequence[Pair]) -> NDArray[np.float64]:
        """The teacher of the distill stage."""
        return np.array([self.taught[pair.id] for pair in pairs])


def stage(base: str, steps: int | None) -> DistillStage:
    """The platform's stage with short prompts that tell the overlap, and more and larger steps than its default."""
    spec = DistillStage(base=ArtifactRef(uri=f"file://{base}"), max_prompt_tokens=_PROMPT_TOKENS, show_overlap=True)
    changed = (
        {"max_steps": _STEPS, "learning_rate": _RATE} if steps is None else {"max_steps": steps, "warmup_steps": 1}
    )
    return spec.model_copy(update={"optimizer": spec.optimizer.model_copy(update=changed)})


def answers(lesson: Lesson, test: Sequence[Pair], base: str, steps: int | None) -> NDArray[np.int8]:
    """Labels (0..3) of the test pairs by a student that never saw their queries.

    One thread: folds run side by side, and threads of several of them would wait for each other.
    """
    import torch

    torch.set_num_threads(1)
    spec = stage(base, steps)
    kit = distill_kit(spec, TextEncoder.load(Path(base)), _RULES.mode)
    student = StudentModel(kit, Path(base), lesson.pairs(), _RULES, TaughtBy(lesson.teacher))
    _fit(student, spec.optimizer)
    prompts = [kit.render(pair, _RULES(pair)) for pair in test]
    scores = TransformersScorer.of(kit, student.model.eval()).score(prompts)
    return np.asarray(scores.probabilities.argmax(axis=1), np.int8)


def _fit(student: StudentModel, optimizer: Optimizer) -> None:
    import torch

    model = student.model.train()
    decay = float(optimizer.weight_decay)
    rate = float(optimizer.learning_rate)
    adam = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=decay, fused=True)
    for step in range(optimizer.max_steps):
        torch.manual_seed(step_seed(step, 0, optimizer))
        _step(student, adam, batch_indices(step, len(student), optimizer), learning_rate(step, optimizer), optimizer)


def _step(student: StudentModel, adam: Any, indices: list[int], rate: float, optimizer: Optimizer) -> None:
    import torch

    for group in adam.param_groups:
        group["lr"] = rate
    adam.zero_grad()
    student.loss(student.model, indices).backward()
    torch.nn.utils.clip_grad_norm_(student.model.parameters(), float(optimizer.gradient_clip))
    adam.step()
