"""A teacher's probabilities for training pairs, scored when they are drawn."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lore_core.prompts import ModelKit, RuleSource
from lore_core.records import Pair
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import calibrated


class Teacher:
    """A generative or classifying model under its own contract. A rank scores the pairs of its own share and no others."""

    def __init__(self, folder: Path, rules: RuleSource) -> None:
        """`folder` is a verified model artifact; `rules` are shown as the teacher's contract says."""
        self._kit = ModelKit.load(folder)
        self._rules = RuleSource(self._kit.contract.rule_mode, rules.rules)
        self._scorer = TransformersScorer(folder)

    def probabilities(self, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        """n×4 calibrated probabilities."""
        prompts = [self._kit.render(pair, self._rules(pair)) for pair in pairs]
        return calibrated(self._scorer.score(prompts).probabilities, self._kit.contract.calibration)
