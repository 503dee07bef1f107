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
_JUDGED_AT_ONCE: Final = 64


@dataclass(frozen=True)
class TaughtBy:
    """A teacher and how its scores are used.

    `held_out` are canonical queries that it is never asked about; `temperature` is what was fitted, told in the summary.
    """

    judge: Judge
    knobs: TeacherKnobs = field(default_factory=TeacherKnobs)
    held_out: frozenset[str] = frozenset()
    temperature: str | None = None


class Judgements:
    """A teacher's probabilities by pair. Pairs are judged together with those drawn soon after them, and each once.

    A judge that generates takes hardly longer for many answers than for few. Which pairs go together depends on the draws
    alone, so that a resumed stage computes the same numbers.
    """

    def __init__(self, judge: Judge, pairs: Sequence[Pair]) -> None:
        self._judge, self._pairs = judge, pairs
        self._known: dict[int, npt.NDArray[np.float64]] = {}
        self.expect(range(len(pairs)))

    def expect(self, draws: Sequence[int]) -> None:
        """Indices in the order in which they will be asked for."""
        self._order = list(dict.fromkeys(draws))
        self._place = {index: place for place, index in enumerate(self._order)}

    def __call__(self, indices: Sequence[int]) -> npt.NDArray[np.float64]:
        """n×4 probabilities."""
        for index in indices:
            if index not in self._known:
                self._judge_around(index)
        return np.stack([self._known[index] for index in indices])

    def _judge_around(self, index: int) -> None:
        first = self._place[index] // _JUDGED_AT_ONCE * _JUDGED_AT_ONCE
        together = self._order[first : first + _JUDGED_AT_ONCE]
        self._known.update(zip(together, self._judge([self._pairs[one] for one in together]), strict=True))


class Teaching:
    """The teacher's part of a student's loss. Pairs of held-out queries are learned from gold alone and never asked about."""

    def __init__(self, by: TaughtBy, pairs: Sequence[Pair], student: Calibration) -> None:
        """The student's calibration says what labels are worth."""
        self._ask, self._pairs, self._temperature = Judgements(by.judge, pairs), pairs, by.temperature
        self._weighs, self._margin = by.knobs.weigh_teacher, float(by.knobs.margin_weight)
        self._grades = [float(grade) for grade in student.grades]
        self._untaught = {row for row, pair in enumerate(pairs) if canonical_query(pair.query) in by.held_out}
        self.expect(range(len(pairs)))

    def summary(self) -> dict[str, Any]:
        """The fitted temperature, and how many pairs were kept from the teacher; nothing where there is nothing to tell."""
        fitted = {"teacherTemperature": self._temperature} if self._temperature else {}
        return fitted | ({"untaughtPairs": len(self._untaught)} if self._untaught else {})

    def expect(self, draws: Sequence[int]) -> None:
        """Indices in the order in which they will be drawn; the teacher is asked about those of no held-out query."""
        self._ask.expect([index for index in draws if index not in self._untaught])

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
