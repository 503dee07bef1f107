"""pass@k on the tune split: what a model finds in k tries, by answers sampled from it while its stage has it in memory.

Figures and names are those of an evaluation. A label-first model has no reasoning to sample: what its probabilities imply
stands under names of its own (`Derived…`), for the two are not comparable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from lore_core.evaluation import sampling
from lore_core.evaluation.checked import steps_hold
from lore_core.evaluation.measured import Measured
from lore_core.jobs.pass_at_k import PassAtK
from lore_core.prompts import ModelKit, PromptLayout, RuleSource
from lore_core.records import LABELS, Pair
from lore_core.scoring.pixels import PictureReader
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.alignment.sampling import TOGETHER, rollouts, sample
from lore_core.training.lineage import SampledScores
from lore_core.training.together import Ranks, gathered
from lore_core.training.tune import PREFIX, rendered, tune_sample

_FIGURES: Final = {
    "PassAt1": sampling.pass_at_1,
    "MajorityAtK": sampling.majority_at_k,
    "PassAtKAboveChance": sampling.pass_at_k_above_chance,
    "PassAtKChecked": sampling.pass_at_k_checked,
}
_DERIVED: Final = ("DerivedPassAt1", "DerivedPassAtKAboveChance")
PASS_NAMES: Final = frozenset(f"{PREFIX}{name}" for name in (*_FIGURES, *_DERIVED))
"""Curves of what is measured here."""
Counts = tuple[int, int, int, int, int]


class PassMeter:
    """Samples answers to some pairs. Ranks share the pairs, and find what one rank alone would find.

    Where parameters are sharded too (ZeRO 3) all ranks sample all pairs, since they must keep step.
    """

    def __init__(
        self,
        kit: ModelKit,
        held_out: Sequence[Pair],
        rules: RuleSource,
        wanted: PassAtK,
        seed: int,
        ranks: Ranks,
        zero_stage: int,
        reader: PictureReader | None = None,
    ) -> None:
        """`held_out` are sampled from as well; `reader` is of a model that is shown pictures.

        Raises JobError naming a pair whose query alone exceeds the prompt's limit.
        """
        self._kit, self._rules, self._samples, self._seed = kit, rules, wanted.samples, seed
        self._reader = reader
        self._ranks = ranks if zero_stage < 3 else Ranks(0, 1, 0)
        self._asked = [(pair, rendered(kit, pair, rules)) for pair in tune_sample(held_out, wanted.pairs, seed)]

    def told(self, measured: Mapping[str, float]) -> SampledScores:
        """The figures among what was measured, for the model's lineage."""
        scores = {name: f"{value:.4f}" for name, value in sorted(measured.items()) if name in PASS_NAMES}
        return SampledScores(pairs=len(self._asked), samples=self._samples, scores=scores)

    def measure(self, model: Any) -> dict[str, float]:
        """Every figure by its curve's name. Collective, equal on every rank; leaves the model in training mode."""
        model.eval()
        label_first = self._kit.contract.layout is PromptLayout.LABEL_FIRST
        found = self._derived(model) if label_first else self._sampled(model)
        model.train()
        return {f"{PREFIX}{name}": value for name, value in found.items()}

    def _sampled(self, model: Any) -> Mapping[str, float]:
        size = max(1, TOGETHER // self._samples)
        starts = range(0, len(self._asked), size)
        mine = [self._counts(model, start, size) for start in starts[self._ranks.rank :: self._ranks.world]]
        rows = np.array([row for part in gathered(mine, self._ranks) for chunk in part for row in chunk], dtype=float)
        counts = sampling.sample_counts(rows, np.zeros(len(rows), dtype=np.int64), 1)[0]
        return {name: float(figure(counts)) for name, figure in _FIGURES.items()}

    def _counts(self, model: Any, start: int, size: int) -> list[Counts]:
        """What is right among the answers to some pairs; their seed is their place, whichever rank asks."""
        asked = self._asked[start : start + size]
        prompts = [prompt for _, prompt in asked]
        seed = int(np.random.SeedSequence([self._seed, start]).generate_state(1)[0])
        answers = sample(
            self._kit, model, prompts, self._samples, seed=seed, temperature=1.0, top_k=0, reader=self._reader
        )
        found = []
        for (pair, _), answered in zip(asked, answers, strict=True):
            read = rollouts(self._kit, answered)
            checked = [steps_hold(pair, one.label, one.trace, self._rules) for one in read]
            found.append(sampling.sampled(pair.groundtruth, [one.label for one in read], checked))
        return found

    def _derived(self, model: Any) -> Mapping[str, float]:
        mine = self._asked[self._ranks.rank :: self._ranks.world]
        scorer = TransformersScorer.of(self._kit, model, reader=self._reader)
        scores = scorer.score([prompt for _, prompt in mine]) if mine else None
        part = scores.probabilities if scores is not None else np.zeros((0, len(LABELS)))
        golds = [LABELS.index(pair.groundtruth) for pair, _ in mine]
        parts = gathered((part, golds), self._ranks)
        probabilities = np.concatenate([found for found, _ in parts])
        gold = np.array([label for _, labels in parts for label in labels], dtype=np.int8)
        known = replace(Measured.unknown(len(gold)), probabilities=probabilities)
        implied = sampling.derived(gold, known, self._samples)
        assert implied is not None  # every pair has probabilities
        return dict(zip(_DERIVED, implied, strict=True))
