"""What a student learns from its teacher: which pairs it is asked about, and the loss of its answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.jobs.teaching import TeacherKnobs
from lore_core.prompts.contract import Calibration
from lore_core.records import LABELS, Pair
from lore_core.records.leakage import canonical_query
from lore_core.training.distill_loss import divergence, margin, trust

TEACHER_SHARE: Final = 0.5
Judge = Callable[[Sequence[Pair]], npt.NDArray[np.float64]]
"""n×4 probabilities of n pairs."""
Ask = Callable[[Sequence[int]], npt.NDArray[np.float64]]
"""The same of the training pairs at n indices."""


@dataclass(frozen=True)
class TaughtBy:
    """A teacher and how its scores are used.

    `held_out` are canonical queries that it is never asked about; `temperature` is what was fitted, told in the summary.
    """

    judge: Judge
    knobs: TeacherKnobs = field(default_factory=TeacherKnobs)
    held_out: frozenset[str] = frozenset()
    temperature: str | None = None


class Teaching:
    """The teacher's part of a student's loss. Pairs of held-out queries are learned from gold alone and never asked about."""

    def __init__(self, by: TaughtBy, ask: Ask, pairs: Sequence[Pair], student: Calibration) -> None:
        """`ask` is the teacher by index; the student's calibration says what labels are worth."""
        self._ask, self._pairs, self._temperature = ask, pairs, by.temperature
        self._weighs, self._margin = by.knobs.weigh_teacher, float(by.knobs.margin_weight)
        self._grades = [float(grade) for grade in student.grades]
        self._untaught = {row for row, pair in enumerate(pairs) if canonical_query(pair.query) in by.held_out}

    def summary(self) -> dict[str, Any]:
        """The fitted temperature, and how many pairs were kept from the teacher; nothing where there is nothing to tell."""
        fitted = {"teacherTemperature": self._temperature} if self._temperature else {}
        return fitted | ({"untaughtPairs": len(self._untaught)} if self._untaught else {})

    def taught(self, draws: Sequence[int]) -> list[int]:
        """Those of the draws that the teacher is asked about, in their order."""
        return [index for index in draws if index not in self._untaught]

    def loss(self, logits: Any, indices: Sequence[int]) -> Any:
        """The teacher's share of the divergence, plus the weighted margin; `logits` are n×4, of the pairs at `indices`."""
        import torch

        soft = torch.tensor(self._answers(indices), dtype=torch.float32, device=logits.device)
        weights = self._weights(soft, indices)
        loss = TEACHER_SHARE * divergence(soft, logits, weights)
        if not self._margin:
            return loss
        grades = torch.tensor(self._grades, device=logits.device)
        queries = [(self._pairs[index].query, self._pairs[index].market) for index in indices]
        return loss + self._margin * margin(soft, logits, grades, queries, weights)

    def _answers(self, indices: Sequence[int]) -> npt.NDArray[np.float64]:
        """The teacher's probabilities, and evenly spread ones, which weigh nothing, where it is not asked."""
        found = np.full((len(indices), len(LABELS)), 1 / len(LABELS))
        asked = [place for place, index in enumerate(indices) if index not in self._untaught]
        if asked:
            found[asked] = self._ask([indices[place] for place in asked])
        return found

    def _weights(self, soft: Any, indices: Sequence[int]) -> Any:
        """How much of each pair counts; None where all count in full."""
        import torch

        known = torch.tensor([float(index not in self._untaught) for index in indices], device=soft.device)
        if not self._weighs:
            return None if known.all() else known
        gold = torch.tensor([LABELS.index(self._pairs[index].groundtruth) for index in indices], device=soft.device)
        return known * trust(soft, gold)
