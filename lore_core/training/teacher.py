"""A teacher's probabilities for the training pairs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lore_core.prompts import ModelKit, RuleSource
from lore_core.records import Pair
from lore_core.scoring import TransformersScorer, calibrated


def teacher_probabilities(folder: Path, pairs: Sequence[Pair], rules: RuleSource) -> npt.NDArray[np.float64]:
    """n×4 calibrated probabilities of the pairs, by the teacher's own contract."""
    kit = ModelKit.load(folder)
    source = RuleSource(kit.contract.rule_mode, rules.rules)
    prompts = [kit.render(pair, source(pair)) for pair in pairs]
    return calibrated(TransformersScorer(folder).score(prompts).probabilities, kit.contract.calibration)
