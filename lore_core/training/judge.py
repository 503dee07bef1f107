"""What a stage measures of its checkpoints on the tune split: scores that one is chosen by, sampled answers, or both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lore_core.training.lineage import SampledScores
from lore_core.training.passing import PASS_NAMES, PassMeter
from lore_core.training.tune import TuneJudge


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured of the published weights: scores over so many pairs, and of sampled answers."""

    scores: Mapping[str, float]
    pairs: int = 0
    sampled: SampledScores | None = None


class CheckpointJudge:
    """Both measurements as one judge of the stage loop; without a chooser the last step counts."""

    def __init__(self, chooser: TuneJudge | None, meter: PassMeter | None) -> None:
        self.patience = chooser.patience if chooser else None
        self._chooser, self._meter = chooser, meter

    def measure(self, model: Any) -> tuple[float | None, dict[str, float]]:
        """The chooser's score, and everything measured by its curve's name. Collective."""
        score, scores = self._chooser.measure(model) if self._chooser else (None, {})
        return score, {**scores, **(self._meter.measure(model) if self._meter else {})}

    def found(self, measured: Mapping[str, float]) -> Found:
        """The same, told apart."""
        scores = {name: value for name, value in measured.items() if name not in PASS_NAMES}
        return Found(
            scores, len(self._chooser) if self._chooser else 0, self._meter.told(measured) if self._meter else None
        )
